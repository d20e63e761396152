"""Which release each target has, and what the webhook was told: read, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freshet.exports.state import Message, read_state
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class TargetLine:
    """A target of the configuration; `due`: it lacks what serves. The rest is as in `Held`."""

    target: str
    release: int | None
    at: str
    due: bool
    failed: str
    tries: int


@dataclass(frozen=True, slots=True)
class WebhookLine:
    """The webhook: the release that it was told last, and when; messages that wait, and that it refused."""

    target: str
    told: int | None
    told_at: str
    pending: tuple[Message, ...]
    refused: tuple[Message, ...]


def target_lines(ws: Workspace, release: Release | None) -> tuple[TargetLine, ...]:
    """All targets of the configuration."""
    names: Sequence[str] = ws.giving.names if ws.giving is not None else ()
    state, number = read_state(ws.root), release.number if release is not None else None
    return tuple(
        TargetLine(name, held.release, held.at, held.release != number, held.failed, held.tries)
        for name in names
        for held in [state.held(name)]
    )


def webhook_line(ws: Workspace) -> WebhookLine | None:
    """The webhook; None where none is configured."""
    if ws.giving is None or not ws.giving.webhook:
        return None
    state = read_state(ws.root)
    return WebhookLine(ws.giving.webhook, state.told, state.told_at, state.pending, state.refused)
