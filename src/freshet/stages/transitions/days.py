"""Transitions day by day; an import recounts only the users and days it touched.

Day files live in a pool and are named by their content, so that artifacts of different dates share them. The
artifact's `days.json` names, for every day, its engagements and its transitions. When engagements of day D
change, only the users whose rows differ are walked again, from D until H days later: nothing else can have
changed. The work is done in parts of users and day by day, so memory holds some parts and some days, however
long the log is.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np

from freshet.core.config import TransitionsConfig
from freshet.core.errors import ArtifactError
from freshet.core.ports import Progress, silent
from freshet.core.safe_names import checked_path
from freshet.core.time import day_number
from freshet.stages.transitions import engagements as stage
from freshet.stages.transitions import spill
from freshet.stages.transitions.affected import Affected
from freshet.stages.transitions.day_files import (
    Filed,
    Index,
    Rows,
    days_of,
    files,
    keep,
    load,
    merged,
    read,
    shelve,
    transition_type,
)
from freshet.stages.transitions.order import arranged
from freshet.stages.transitions.walk import walk
from freshet.storage.database import connect

FORMAT = 2
"""Raise when the meaning of day files changes, so that all days are done again."""

ROWS = 2_000_000
"""Engagements walked at once by all threads together; bounds memory."""

EVER = 1 << 30
"""Days, as a horizon that reaches everything."""


class Counted(NamedTuple):
    """Content of `days.json`.

    Attributes:
        sources: day -> name of its event file, which stands for the content.
        engagements: day -> where they are filed.
        transitions: day -> where they are filed.
    """

    sources: dict[str, str]
    engagements: Index
    transitions: Index


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier count with the same interests, rule and settings.

    Attributes:
        folder: with its `days.json`.
        assignment: the Parquet of (item, interest index) it was made with.
    """

    folder: Path
    assignment: Path


def horizon(config: TransitionsConfig) -> int | None:
    """H in days, None for 'ever'."""
    return None if config.novelty_days == "ever" else int(config.novelty_days)


def count(
    days: Sequence[tuple[date, Path]],
    assignment: Path,
    positive_sql: str,
    interests: int,
    config: TransitionsConfig,
    previous: Earlier | None,
    pool: Path,
    into: Path,
    memory: str = "800MB",
    progress: Progress = silent,
    threads: int | None = None,
) -> dict[str, Any]:
    """Bring the daily transitions up to date with the log.

    Args:
        days: (day, event file) of the snapshot, ascending, all before as_of.
        assignment: Parquet of (item, interest index).
        positive_sql: the positive rule as SQL over the event columns.
        interests: N.
        previous: an earlier count with the same interests, rule and settings, or None.
        pool: folder of the content-named day files.
        into: folder of the new artifact; receives `days.json`.
        memory: DuckDB's limit; more spills to disk.
        threads: how many; the cores, at most 8, by default.

    Returns:
        Summary for the ledger: days, transitions, and how many days and users had to be recounted.
    """
    before = _known(previous)
    sources = {str(day): path.name for day, path in days}
    scratch = into.with_name(f"{into.name}.spill")
    scratch.mkdir(parents=True)
    many = threads or min(8, os.cpu_count() or 1)
    try:
        # one more than there are cores, since some wait for the disk
        with ThreadPoolExecutor(many + 1) as workers, _database(memory, scratch, many) as db:
            fresh = _fresh(db, days, before.sources, previous, assignment)
            found = stage.engagements(db, workers, fresh, assignment, positive_sql, pool)
            gone = before.sources.keys() - sources.keys()
            engaged = shelve(pool, "engagements", before.engagements, found, gone)
            # transitions depend on the past alone: days after the last one now asked for are just left out
            last = max(sources, default="")
            changed = sorted({str(day) for day, _ in fresh} | {day for day in gone if day < last})
            recount = _Recount(pool, before, engaged, changed, interests, config, scratch, many)
            done = recount(workers, progress, everybody=previous is None) if changed else []
            transitions = shelve(pool, "transitions", before.transitions, done, gone)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    content = {"format": FORMAT, "sources": sources, "engagements": engaged, "transitions": transitions}
    (into / "days.json").write_text(json.dumps(content, indent=0, sort_keys=True))
    return {
        "days": len(engaged),
        "transitions": sum(filed.rows for filed in transitions.values()),
        "recounted_days": recount.days,
        "recounted_users": recount.users,
    }


def load_counted(folder: Path) -> Counted:
    """What `count` wrote.

    Raises:
        ArtifactError: `days.json` is missing, damaged, or of another version of Freshet.
    """
    path = folder / "days.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise KeyError(f"format {FORMAT}")
        engaged, transitions = (
            {day: _filed(*filed) for day, filed in content[part].items()}
            for part in ("engagements", "transitions")
        )
        return Counted(content["sources"], engaged, transitions)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path} can't be read: {error}",
            hint="`freshet doctor --repair` moves the artifact aside; the next run counts the log again",
        ) from None


def referenced(folder: Path) -> set[str]:
    """Names, within the pool, of the files that a count needs; the others are garbage."""
    counted = load_counted(folder)
    return {filed.file for filed in [*counted.engagements.values(), *counted.transitions.values()]}


def _filed(file: str, rows: int) -> Filed:
    return Filed(checked_path(file, "file of counted days"), rows)


class _Recount:
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
        parts = spill.Engagements(self.scratch, rows, max(1, ROWS // self.threads))
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
            rows = arranged(engagements.take(part))
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
        rows = merged([part for part in parts if len(part)] or [np.empty(0, transition_type(self.interests))])
        if old is None and not len(rows):
            return None
        return keep(self.pool, "transitions", day, rows)


def _fresh(
    db: duckdb.DuckDBPyConnection,
    days: stage.Days,
    before: Mapping[str, str],
    previous: Earlier | None,
    assignment: Path,
) -> stage.Days:
    """Days whose engagements must be derived: their events changed, or the interest of an item they hold."""
    old = [(day, path) for day, path in days if before.get(str(day)) == path.name]
    moved = stage.reassigned(db, old, previous.assignment, assignment) if previous else set()
    return [(day, path) for day, path in days if before.get(str(day)) != path.name or str(day) in moved]


def _known(previous: Earlier | None) -> Counted:
    return Counted({}, {}, {}) if previous is None else load_counted(previous.folder)


def _database(memory: str, scratch: Path, threads: int) -> duckdb.DuckDBPyConnection:
    db = connect(memory_limit=memory, temp_directory=str(scratch / "sql"), threads=threads)
    db.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false; SET preserve_insertion_order = false")
    return db
