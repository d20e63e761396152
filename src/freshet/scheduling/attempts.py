"""Runs of the past, as a scheduler reads them from the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from freshet.storage.ledger import Ledger, Record

End = Literal["running", "killed", "stopped", "failed", "pending", "done"]

SLOW_STEPS = ("tuning", "gates")
"""Steps of the slow path, wherever they are made."""
REMEMBERED = 200
"""Runs that are looked back at, at least."""
_STOPPED = ("Stopped", "KeyboardInterrupt")
"""Errors that are somebody's wish."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A run.

    Attributes:
        run: its id.
        command: its first word.
        started, ended: UTC; of one that runs or was killed, `ended` is when it was last heard of.
        end: running; killed (it could not write its end); stopped (by a person or a signal); failed; pending
            (answers come later); done, also where a gate halted it: nobody but a person can go on then.
        retryable: of one that failed: the same command may succeed later.
        message: what it ended by.
        money: it has cost.
        slow: that part of it that the slow path cost.
        refreshed, tuned: it made a table, a model. `as_of`: its moment.
    """

    run: str
    command: str
    started: datetime
    ended: datetime
    end: End
    retryable: bool = False
    message: str = ""
    money: float = 0.0
    slow: float = 0.0
    refreshed: bool = False
    tuned: bool = False
    as_of: str = ""

    @classmethod
    def of(cls, record: Record, *, alive: bool) -> Attempt:
        """Read a record.

        Args:
            alive: a run that has no end yet is still running.
        """
        started = datetime.fromisoformat(record.started).astimezone(UTC)
        slow = sum(step.money for step in record.steps if step.name in SLOW_STEPS and not step.cached)
        return cls(
            record.id,
            (record.command.split() or [""])[0],
            started,
            started + timedelta(seconds=record.seconds),
            _end(record, alive=alive),
            record.retryable,
            record.message,
            record.money,
            slow,
            _made(record, "table"),
            _made(record, "tuning"),
            record.as_of,
        )


def attempts(ledger: Ledger, since: datetime, *, writing: bool) -> list[Attempt]:
    """Runs since a moment, and some before it, oldest first.

    Args:
        writing: somebody holds the lease, so the newest run may be running.
    """
    found: list[Attempt] = []
    for record in ledger.newest_first():
        attempt = Attempt.of(record, alive=writing and not found)
        if attempt.started < since and len(found) >= REMEMBERED:
            break
        found.append(attempt)
    return found[::-1]


def since(done: Sequence[Attempt], commands: Iterable[str], moment: datetime) -> list[Attempt]:
    """Those of some commands that started at or after a moment."""
    counted = frozenset(commands)
    return [one for one in done if one.started >= moment and one.command in counted]


def _made(record: Record, step_name: str) -> bool:
    return any(step.name == step_name and not (step.cached or step.failed) for step in record.steps)


def _end(record: Record, *, alive: bool) -> End:
    if record.outcome == "running":
        return "running" if alive else "killed"
    if record.outcome == "failed":
        return "stopped" if record.error in _STOPPED else "failed"
    return "pending" if record.outcome == "pending" else "done"
