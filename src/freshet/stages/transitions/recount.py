"""Counting again: whose engagements changed from which day on, and the transitions that then come out.

The work is cut into jobs that know nothing of each other: files of days are cut by parts of users
(`CutByUser`), a part is walked (`WalkPart`), a day is filed (`FileDay`). Any executor runs them. What they
hand on lies in a scratch folder; the caller holds only where it starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.config import TransitionsConfig
from freshet.core.ports import Executor, Progress, Resources
from freshet.core.time import DAY, day_number
from freshet.stages.transitions.affected import Affected, differing
from freshet.stages.transitions.day_files import (
    ENGAGEMENT,
    Filed,
    Index,
    Rows,
    file_day,
    files,
    load,
    merge_rows,
    read,
    transition_type,
)
from freshet.stages.transitions.engagements import sort_engagements
from freshet.stages.transitions.format import Counted
from freshet.stages.transitions.spill import Pieces, bits_for, by_part, gathered
from freshet.stages.transitions.walk import walk_by_day

ROWS = 2_000_000
"""Engagements walked at once by all jobs of one machine (8 of them at most); bounds
memory. Of more than 1,024 interests rows are wider, and fewer are walked at once."""

EVER = 1 << 30
"""Days, as a horizon that reaches everything."""


def horizon(config: TransitionsConfig) -> int | None:
    """H in days, None for 'ever'."""
    return None if config.novelty_days == "ever" else int(config.novelty_days)


@dataclass(frozen=True, slots=True)
class UsersThatDiffer:
    """A day -> the users whose engagements on it are others than before."""

    pool: Path
    before: Index
    now: Index

    def __call__(self, day: str) -> NDArray[np.uint64]:
        return differing(load(self.pool, self.before, day), load(self.pool, self.now, day))


@dataclass(frozen=True, slots=True)
class CutByUser:
    """Numbered files of engagements -> the rows of affected users, cut by parts of users."""

    scratch: Path
    affected: Affected
    bits: int

    def __call__(self, job: tuple[int, Sequence[Path]]) -> Pieces:
        number, paths = job
        affected = self.affected
        chosen = None if affected.users is None else affected.among
        rows, starts = by_part([read(path, chosen) for path in paths], self.bits)
        return Pieces.write(self.scratch / f"engagements-{number}", rows, starts)


@dataclass(frozen=True, slots=True)
class WalkPart:
    """A part of users -> their transitions, cut by day, and how many users it has."""

    scratch: Path
    affected: Affected
    engagements: Sequence[Pieces]
    days: range
    interests: int
    novelty: int | None
    seed: int

    def __call__(self, part: int) -> tuple[Pieces, int]:
        rows = sort_engagements(gathered(self.engagements, part, ENGAGEMENT))
        time, days = rows["time"], self.days
        emit = self.affected.again(rows) & (time >= days.start * DAY) & (time < days.stop * DAY)
        steps = walk_by_day(rows, emit, interests=self.interests, novelty_days=self.novelty, seed=self.seed)
        by_day = [
            steps[day] if day in steps else np.empty(0, transition_type(self.interests)) for day in days
        ]
        starts = np.cumsum([0, *map(len, by_day)], dtype=np.int64)
        found = Pieces.write(self.scratch / f"transitions-{part}", by_day, starts)
        return found, 0 if not len(rows) else 1 + int((np.diff(rows["user"]) != 0).sum())


@dataclass(frozen=True, slots=True)
class FileDay:
    """A day -> its transitions: those found now, and those of other users from before; None if unchanged."""

    pool: Path
    before: Index
    affected: Affected
    found: Sequence[Pieces]
    days: range
    interests: int

    def __call__(self, day: str) -> Filed | Rows | None:
        number, kind = day_number(day), transition_type(self.interests)
        old = load(self.pool, self.before, day)
        parts = [gathered(self.found, number - self.days.start, kind)] if number in self.days else []
        if old is not None:
            again = self.affected.again(old)
            if not again.any() and not any(map(len, parts)):
                return None
            parts.append(old[~again])
        rows = merge_rows([part for part in parts if len(part)] or [np.empty(0, kind)])
        if old is None and not len(rows):
            return None
        return file_day(self.pool, "transitions", day, rows)


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
    ) -> None:
        self.pool, self.before, self.engaged = pool, before, engaged
        self.changed, self.scratch, self.interests = changed, scratch, interests
        self.seed, self.novelty = config.seed, horizon(config)
        self.days = self.users = 0

    def __call__(
        self, executor: Executor, needs: Resources | None, progress: Progress, everybody: bool
    ) -> Iterator[tuple[str, Filed | Rows]]:
        """Days whose transitions may differ, in order, with what they hold now."""
        affected = Affected.everybody() if everybody else self._affected(executor, needs)
        # one day more than H on both sides: a step late on day D looks back into day D - H
        reach = EVER if self.novelty is None else self.novelty + 1
        first, until = day_number(self.changed[0]), day_number(self.changed[-1]) + reach
        window = {day for day in self.engaged if first - reach <= day_number(day) <= until}
        numbers = range(first, min(until, max(map(day_number, window), default=first)) + 1)
        wider = max(1.0, transition_type(self.interests).itemsize / transition_type(1024).itemsize)
        bits, jobs = self._jobs(window, max(1, int(ROWS / wider) // min(8, executor.slots)))
        cut = list(executor.map(CutByUser(self.scratch, affected, bits), jobs, needs))
        work = WalkPart(self.scratch, affected, cut, numbers, self.interests, self.novelty, self.seed)
        found, users = [], 0
        for done, (pieces, own) in enumerate(executor.map(work, range(1 << bits), needs), start=1):
            found.append(pieces)
            users += own
            progress(done, 1 << bits)
        for pieces in cut:
            pieces.path.unlink(missing_ok=True)
        self.users = users if affected.users is None else len(affected.users)
        days = self.engaged.keys() | (self.before.transitions.keys() & set(self.changed))
        touched = sorted(day for day in days if first <= day_number(day) <= until)
        filing = FileDay(self.pool, self.before.transitions, affected, found, numbers, self.interests)
        for day, kept in zip(touched, executor.map(filing, touched, needs), strict=True):
            if kept is not None:
                self.days += 1
                yield day, kept

    def _affected(self, executor: Executor, needs: Resources | None) -> Affected:
        work = UsersThatDiffer(self.pool, self.before.engagements, self.engaged)
        return Affected.by(zip(self.changed, executor.map(work, self.changed, needs), strict=True))

    def _jobs(self, window: set[str], most: int) -> tuple[int, list[tuple[int, list[Path]]]]:
        """Bits that number the parts of users, and numbered groups of files; each has about `most` rows."""
        sizes: dict[Path, int] = {}
        for day in sorted(window):
            path = self.pool / self.engaged[day].file
            sizes[path] = sizes.get(path, 0) + self.engaged[day].rows
        groups: list[list[Path]] = []
        room = 0
        for path in files(self.pool, self.engaged, window):
            if not groups or sizes[path] > room:
                groups.append([])
                room = most
            groups[-1].append(path)
            room -= sizes[path]
        return bits_for(sum(sizes.values()), most), list(enumerate(groups))
