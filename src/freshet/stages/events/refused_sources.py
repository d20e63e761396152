"""Files that were offered and refused: a log that lacks the newest one is behind, whatever it holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from freshet.core.errors import InputError
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Refusal:
    """The newest source offered, which was refused.

    Attributes:
        why: what was wrong.
        run: id of the run that refused it.
        until: the last day it has events on, None where that isn't known.
    """

    source: str
    why: str
    run: str
    until: date | None


def pending(ws: Workspace) -> Refusal | None:
    """The newest refusal, unless the same source was imported since or another one added events."""
    imported: set[str] = set()
    for record in ws.ledger.newest_first():
        for step in reversed(record.steps):
            if step.name != "import":
                continue
            source = step.details.get("refused")
            if source in imported:
                return None
            if source:
                until = step.details["until"]
                why = step.details["why"]
                return Refusal(source, why, record.id, date.fromisoformat(until) if until else None)
            if step.details.get("added"):
                return None
            imported |= {*step.details.get("sources", ())}
    return None


def check(ws: Workspace) -> None:
    """Refuse to go on as if nothing had been offered.

    Raises:
        InputError: the newest source was refused.
    """
    found = pending(ws)
    if found is not None:
        raise InputError(
            f"the log lacks the newest source offered, which run {found.run} refused: {found.why}",
            hint="import it once repaired; or give --as-of, the day until which the log is taken as it is",
        )
