"""What each target has, and what a webhook has still to be told: `exports/state.json` of a workspace."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from freshet.core.errors import ArtifactError
from freshet.storage.durable import read_json, write_json

EXPORTS = "exports"
"""Folder in a workspace."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a target has.

    Attributes:
        release: the last one that was written, None before the first; `at`: when (ISO 8601, UTC).
        failed: why the last try failed, '' where it went well; `tries`: that failed since.
    """

    release: int | None = None
    at: str = ""
    failed: str = ""
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """A message to a webhook, as it is sent.

    Attributes:
        id: by which a receiver knows what it has had before.
        release: that it is about; `body`: JSON.
        failed: why it was not taken, '' before the first try; `tries`: runs that tried.
    """

    id: str
    release: int
    body: str
    failed: str = ""
    tries: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """All that is remembered.

    Attributes:
        targets: by name.
        watched: whether what serves is noted for a webhook; `noted`: the release that was noted last.
        pending: messages to be sent, oldest first.
        refused: the last messages that will not be taken, however often they are sent.
        told: the release of the last message that was taken, None before the first; `told_at`: when.
    """

    targets: dict[str, Held] = field(default_factory=dict)
    watched: bool = False
    noted: int | None = None
    pending: tuple[Message, ...] = ()
    refused: tuple[Message, ...] = ()
    told: int | None = None
    told_at: str = ""

    def held(self, target: str) -> Held:
        """What a target has."""
        return self.targets.get(target, Held())


def read_state(root: Path) -> State:
    """The state of a workspace; a new one where there is none, or none that can be read.

    Nothing is lost then but messages: what serves is written again, over what is there.
    """
    try:
        return TypeAdapter(State).validate_python(read_json(_path(root)))
    except (ArtifactError, ValidationError):
        return State()


def write_state(root: Path, state: State) -> None:
    """Whoever calls holds the lease."""
    write_json(_path(root), asdict(state))


def _path(root: Path) -> Path:
    return root / EXPORTS / "state.json"
