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
LAST = 5
"""Tunings and refreshes that are looked back for: their costs say what the next one is expected to cost."""
FAR = timedelta(days=400)
"""How long they are looked for before the moment asked for, at most."""


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


def attempts(ledger: Ledger, since: datetime, *, writing: bool, tunes: bool) -> list[Attempt]:
    """Runs since a moment, and some before it, oldest first: at least the last refreshes and tunings.

    Args:
        writing: somebody holds the lease, so the newest run may be running.
        tunes: there is something to tune, so the last tunings are wanted.
    """
    found: list[Attempt] = []
    refreshed, tuned = LAST, LAST if tunes else 0
    for path in reversed(ledger.paths()):
        attempt = ledger.digest(path, _alive if writing and not found else _dead)
        enough = len(found) >= REMEMBERED and (max(refreshed, tuned) <= 0 or attempt.started < since - FAR)
        if attempt.started < since and enough:
            break
        found.append(attempt)
        refreshed -= attempt.refreshed
        tuned -= attempt.tuned
    return found[::-1]


def _alive(record: Record) -> Attempt:
    return Attempt.of(record, alive=True)


def _dead(record: Record) -> Attempt:
    return Attempt.of(record, alive=False)


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
        return "stopped" if record.was_stopped else "failed"
    return "pending" if record.outcome == "pending" else "done"
