"""`freshet export`: a person gives a release away now, or again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from freshet.core.errors import ConfigError
from freshet.exports.deliveries import Deliveries, Gave, Open, give
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did: `run` is its id in the ledger."""

    run: str
    release: Release
    gave: tuple[Gave, ...]


def export(
    ws: Workspace,
    configured: Deliveries | None,
    targets: Mapping[str, Open] | None,
    number: int | None = None,
) -> Exported:
    """Write a release to targets; without any, to those configured, and tell the webhook what waits.

    Args:
        targets: None = those of the configuration.
        number: of the release; None = the one that serves.

    Raises:
        ConfigError: there is no release, or no target.
        ExportError: one failed; the others were written all the same.
    """
    if targets is None and configured is None:
        raise ConfigError(
            "there is nowhere to export to", hint="name a place with --to, or set [export] to in freshet.toml"
        )
    with ws.run("export") as run:
        release = ws.releases.current() if number is None else ws.releases.get(number)
        if release is None:
            raise ConfigError("there is no release to export yet", hint="`freshet run` makes the first one")
        run.record.release = release.number
        chosen = targets if targets is not None else (configured.targets if configured is not None else {})
        gave, failed = give(ws, run, chosen, release)
        if targets is None and configured is not None:
            configured.tell(ws, run, again=True)
        if failed:
            raise failed[0]
    return Exported(run.record.id, release, tuple(gave))
