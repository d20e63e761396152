"""Counting again: whose engagements changed from which day on, and the transitions that then come out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.core.config import TransitionsConfig
from freshet.core.ports import Progress
from freshet.core.time import day_number
from freshet.stages.transitions import spill
from freshet.stages.transitions.day_files import (
    ENGAGEMENT,
    Filed,
    Index,
    Rows,
    days_of,
    file_day,
    files,
    load,
    merge_rows,
    read,
    transition_type,
)
from freshet.stages.transitions.engagements import sort_engagements
from freshet.stages.transitions.format import Counted
from freshet.stages.transitions.walk import walk

ROWS = 2_000_000
"""Engagements walked at once by all threads together, of up to 1,024 interests; bounds memory."""

EVER = 1 << 30
"""Days, as a horizon that reaches everything."""

PENDING = 2_000_000
"""Users noted, some of them several times, before they are brought together."""


@dataclass(frozen=True, slots=True)
class Affected:
    """Users whose engagements changed.

    Attributes:
        users: (m,) keys, ascending; None for everybody.
        since: (m,) the first day, in days since 1970, that differs for each.
    """

    users: NDArray[np.uint64] | None
    since: NDArray[np.int32]

    @classmethod
    def everybody(cls) -> Affected:
        return cls(None, np.zeros(0, np.int32))

    @classmethod
    def by(cls, changed: Iterable[tuple[str, Rows | None, Rows | None]]) -> Affected:
        """From (day, engagements before, engagements now), in ascending order of days."""
        users = [np.zeros(0, np.uint64)]
        since = [np.zeros(0, np.int32)]
        for day, before, now in changed:
            differing = _differing(before, now)
            users.append(differing)
            since.append(np.full(len(differing), day_number(day), np.int32))
            if sum(map(len, users[1:])) > PENDING:
                users, since = _first(users, since)
        users, since = _first(users, since)
        return cls(users[0], since[0])

    def within(self, rows: Rows) -> Rows:
        """The rows of affected users; rows are sorted by user, here and below."""
        if self.users is None:
            return rows
        return rows[self._since(rows) <= np.iinfo(np.int32).max]

    def again(self, rows: Rows, days: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether a row on a day is one that is counted again."""
        if self.users is None:
            return np.ones(len(rows), bool)
        return np.asarray(days >= self._since(rows))

    def _since(self, rows: Rows) -> NDArray[np.int64]:
        """(n,) the day from which on a row's user is affected; beyond all days where never."""
        since = np.full(len(rows), np.iinfo(np.int64).max)
        if self.users is not None:
            _look_up(self.users, self.since, rows["user"], since)
        return since


@njit(cache=True, nogil=True)
def _look_up(users, since, wanted, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """Both sorted, so one pass over both; much faster than a search for each."""
    place = 0
    for i in range(len(wanted)):
        while place < len(users) and users[place] < wanted[i]:
            place += 1
        if place < len(users) and users[place] == wanted[i]:
            out[i] = since[place]


def _differing(before: Rows | None, now: Rows | None) -> NDArray[np.uint64]:
    """Users with a row in one of both only."""
    if before is None or now is None:
        rows = now if before is None else before
        return np.unique(rows["user"]) if rows is not None else np.zeros(0, np.uint64)
    raw = f"V{ENGAGEMENT.itemsize}"
    rows = np.setxor1d(before.view(raw), now.view(raw), assume_unique=True).view(ENGAGEMENT)
    return np.unique(rows["user"])


def _first(
    users: list[NDArray[np.uint64]], since: list[NDArray[np.int32]]
) -> tuple[list[NDArray[np.uint64]], list[NDArray[np.int32]]]:
    """Every user once, with the first day noted."""
    found, place = np.unique(np.concatenate(users), return_index=True)
    return [found], [np.concatenate(since)[place]]


def horizon(config: TransitionsConfig) -> int | None:
    """H in days, None for 'ever'."""
    return None if config.novelty_days == "ever" else int(config.novelty_days)


class Recount:
    """Walk the affected users again and bring the transitions of the days concerned up to date."""

    def __init__(
        self,
        pool: Path,
        before: Counted,
        engaged: Index,
        changed: Sequence[str],
        interests: int,
        config: TransitionsConfig,
        scratch: Path,
        threads: int,
    ) -> None:
        self.pool, self.before, self.engaged = pool, before, engaged
        self.changed, self.scratch, self.threads = changed, scratch, threads
        self.interests, self.seed, self.novelty = interests, config.seed, horizon(config)
        self.days = self.users = 0

    def __call__(
        self, workers: Executor, progress: Progress, everybody: bool
    ) -> Iterator[tuple[str, Filed | Rows]]:
        """Days whose transitions may differ, in order, with what they hold now."""
        affected = Affected.everybody() if everybody else self._affected()
        # one day more than H on both sides: a step late on day D looks back into day D - H
        reach = EVER if self.novelty is None else self.novelty + 1
        first, until = day_number(self.changed[0]), day_number(self.changed[-1]) + reach
        window = {day for day in self.engaged if first - reach <= day_number(day) <= until}
        engagements = self._by_user(workers, affected, window)
        numbers = range(first, min(until, max(map(day_number, window), default=first)) + 1)
        found = self._walk(workers, affected, engagements, numbers, progress)
        days = self.engaged.keys() | (self.before.transitions.keys() & set(self.changed))
        touched = sorted(day for day in days if first <= day_number(day) <= until)
        for day, kept in zip(
            touched, workers.map(lambda day: self._day(day, affected, found), touched), strict=True
        ):
            if kept is not None:
                self.days += 1
                yield day, kept

    def _affected(self) -> Affected:
        return Affected.by(
            (
                day,
                load(self.pool, self.before.engagements, day),
                load(self.pool, self.engaged, day),
            )
            for day in self.changed
        )

    def _by_user(self, workers: Executor, affected: Affected, window: set[str]) -> spill.Engagements:
        """Engagements of the affected users, in parts."""
        rows = sum(self.engaged[day].rows for day in window)
        wider = max(1.0, transition_type(self.interests).itemsize / transition_type(1024).itemsize)
        parts = spill.Engagements(self.scratch, rows, max(1, int(ROWS / wider) // self.threads))
        paths = files(self.pool, self.engaged, window)
        for start in range(0, len(paths), self.threads):  # a few at a time: they are held in memory
            some = paths[start : start + self.threads]
            for found in workers.map(lambda path: affected.within(read(path)), some):
                parts.add(found)
        return parts

    def _walk(
        self,
        workers: Executor,
        affected: Affected,
        engagements: spill.Engagements,
        days: range,
        progress: Progress,
    ) -> spill.Found:
        found = spill.Found(self.scratch, days.start, len(days))

        def work(part: int) -> int:
            rows = sort_engagements(engagements.take(part))
            numbers = days_of(rows)
            emit = affected.again(rows, numbers) & (numbers >= days.start) & (numbers < days.stop)
            steps = walk(rows, emit, interests=self.interests, novelty_days=self.novelty, seed=self.seed)
            found.add(part, steps)
            return 0 if not len(rows) else 1 + int((np.diff(rows["user"]) != 0).sum())

        users = 0
        for done, number in enumerate(workers.map(work, engagements.parts), start=1):
            users += number
            progress(done, len(engagements.parts))
        self.users = users if affected.users is None else len(affected.users)
        return found

    def _day(self, day: str, affected: Affected, found: spill.Found) -> Filed | Rows | None:
        """A day's transitions: those found now, and those of other users from before; None if unchanged."""
        number = day_number(day)
        old = load(self.pool, self.before.transitions, day)
        parts = (
            [found.of(number, transition_type(self.interests))] if number - found.first < found.days else []
        )
        if old is not None:
            again = affected.again(old, np.full(len(old), number))
            if not again.any() and not any(map(len, parts)):
                return None
            parts.append(old[~again])
        rows = merge_rows(
            [part for part in parts if len(part)] or [np.empty(0, transition_type(self.interests))]
        )
        if old is None and not len(rows):
            return None
        return file_day(self.pool, "transitions", day, rows)
