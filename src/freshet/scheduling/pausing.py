"""A pause of all that runs by itself: who wants it, and why. It lasts until somebody ends it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from freshet.core.errors import ArtifactError
from freshet.core.escaping import visible
from freshet.storage.durable import read_json, write_json

FILE = "PAUSED"
"""In the workspace; of no pause it says who ended the last one."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Somebody's word.

    Attributes:
        on: whether it is a pause, or the end of one.
        by, why, since: who said so, for what reason, when (ISO, UTC).
    """

    on: bool
    by: str
    why: str
    since: str

    def __str__(self) -> str:
        reason = f": {self.why}" if self.why else ""
        return visible(f"paused by {self.by} since {self.since}{reason}", lines=False)


def set_pause(root: Path, on: bool, by: str, why: str, now: datetime) -> Pause:
    """Pause what runs by itself, or let it go on; a run that is under way ends as usual."""
    said = Pause(on, by, why, now.isoformat(timespec="seconds"))
    write_json(root / FILE, asdict(said))
    return said


def paused(root: Path) -> Pause | None:
    """The pause that is on; None where there is none.

    Raises:
        ArtifactError: what was said can't be read.
    """
    if not (root / FILE).exists():
        return None
    try:
        said = Pause(**read_json(root / FILE))
    except TypeError:
        raise ArtifactError(
            f"{root / FILE} does not say who paused what",
            hint="`freshet schedule --resume` or `--pause` writes it anew",
        ) from None
    return said if said.on else None
