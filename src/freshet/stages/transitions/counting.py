"""Transitions day by day; an import recounts only the users and days it touched.

Day files live in a pool and are named by their content, so that artifacts of different dates share them. The
artifact's `days.json` names, for every day, its engagements and its transitions. When engagements of day D
change, only the users whose rows differ are walked again, from D until H days later: nothing else can have
changed. The work is done in parts of users and day by day, so memory holds some parts and some days, however
long the log is.
"""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.config import TransitionsConfig
from freshet.core.ports import Executor, Progress, Resources, silent
from freshet.core.time import day_name
from freshet.core.types import BoolArray
from freshet.stages.transitions import engagements as stage
from freshet.stages.transitions.day_files import (
    Filed,
    days_of,
    read,
    update_index,
    write,
)
from freshet.stages.transitions.format import Counted, load_counted, write_counted
from freshet.stages.transitions.recount import Recount


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier count with the same interests, rule and settings.

    Attributes:
        folder: with its `days.json`.
        assignment: the Parquet of (item, interest index) it was made with.
    """

    folder: Path
    assignment: Path


def count(
    days: Sequence[tuple[date, Path]],
    assignment: Path,
    positive_sql: str,
    interests: int,
    config: TransitionsConfig,
    previous: Earlier | None,
    pool: Path,
    into: Path,
    executor: Executor,
    needs: Resources | None = None,
    memory: str = "800MB",
    progress: Progress = silent,
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
        executor: runs the jobs, each of which needs so much.
        memory: DuckDB's limit in each process; more spills to disk.

    Returns:
        Summary for the ledger: days, transitions, and how many days and users had to be recounted.
    """
    before = _known(previous)
    sources = {str(day): path.name for day, path in days}
    scratch = into.with_name(f"{into.name}.spill")
    scratch.mkdir(parents=True)
    threads = min(8, executor.slots)
    try:
        moved = _reassigned(days, before.sources, previous, assignment, memory, scratch, threads)
        fresh = [
            (day, at) for day, at in days if before.sources.get(str(day)) != at.name or str(day) in moved
        ]
        reader = stage.EngagementReader(fresh, assignment, positive_sql, pool, scratch, memory, threads)
        found = stage.engagements(executor, needs, reader, fresh)
        gone = before.sources.keys() - sources.keys()
        engaged = update_index(pool, "engagements", before.engagements, found, gone)
        # transitions depend on the past alone: days after the last one are just left out
        last = max(sources, default="")
        changed = sorted({str(day) for day, _ in fresh} | {day for day in gone if day < last})
        recount = Recount(pool, before, engaged, changed, interests, config, scratch)
        done = recount(executor, needs, progress, everybody=previous is None) if changed else []
        transitions = update_index(pool, "transitions", before.transitions, done, gone)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    write_counted(Counted(sources, engaged, transitions), into)
    return {
        "days": len(engaged),
        "transitions": sum(filed.rows for filed in transitions.values()),
        "recounted_days": recount.days,
        "recounted_users": recount.users,
    }


def _reassigned(
    days: stage.Days,
    before: Mapping[str, str],
    previous: Earlier | None,
    assignment: Path,
    memory: str,
    scratch: Path,
    threads: int,
) -> set[str]:
    """Days whose events are those of before, and which hold an item whose interest changed."""
    if previous is None or filecmp.cmp(previous.assignment, assignment, shallow=False):
        return set()
    old = [(day, path) for day, path in days if before.get(str(day)) == path.name]
    with stage.database(memory, scratch, threads) as db:
        return stage.reassigned(db, old, previous.assignment, assignment)


def _known(previous: Earlier | None) -> Counted:
    return Counted({}, {}, {}) if previous is None else load_counted(previous.folder)


Kept = Callable[[NDArray[np.uint64], NDArray[np.int64]], BoolArray]
"""(n,) users by number, (n,) times in microseconds since 1970 -> whether each transition stays."""


@dataclass(frozen=True, slots=True)
class Parted:
    """An earlier count, and the transitions of it that stayed by the same rule: folders of both."""

    whole: Path
    stayed: Path


def without(
    counted: Path,
    pool: Path,
    kept: Kept,
    since: str,
    into: Path,
    earlier: Parted | None = None,
    only: Collection[str] | None = None,
) -> int:
    """Write the artifact of the transitions that stay; files of days before `since` (ISO) are shared.

    Args:
        counted: folder of what `count` wrote; `into` is that of the new artifact.
        pool: folder of the day files.
        earlier: files that it has seen already are not read again.
        only: days (ISO) on which any may be left out; None = all since then.

    Returns:
        How many transitions were left out.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    before = load_counted(counted)
    after = dict(before.transitions)
    seen, stayed = (
        ({}, {})
        if earlier is None
        else (load_counted(folder).transitions for folder in (earlier.whole, earlier.stayed))
    )
    left_out = 0
    looked_at = {day for day in after if day >= since and (only is None or day in only)}
    for name in sorted({after[day].file for day in looked_at}):
        days = {day for day, filed in after.items() if filed.file == name}
        if all(seen.get(day) == after[day] for day in days):
            left_out += sum(after[day].rows for day in days)
            after = {day: filed for day, filed in after.items() if day not in days}
            after |= {day: stayed[day] for day in days & stayed.keys()}
            left_out -= sum(after[day].rows for day in days & after.keys())
            continue
        rows = read(pool / name)
        rows = rows[np.isin(days_of(rows), [np.datetime64(day).astype(np.int64) for day in days])]
        own = rows[kept(rows["user"], rows["time"])]
        if len(own) == len(rows):
            continue
        left_out += len(rows) - len(own)
        found = write(pool, "transitions", Path(name).name.rpartition("-")[0], own)
        numbers, sizes = np.unique(days_of(own), return_counts=True)
        after = {day: filed for day, filed in after.items() if day not in days}
        after |= {
            day_name(number): Filed(found, size)
            for number, size in zip(numbers.tolist(), sizes.tolist(), strict=True)
        }
    write_counted(before._replace(transitions=after), into)
    return left_out
