"""Takes users out of the log: rewrites the days that hold them, and drops every earlier state of the log.

What comes out is, byte for byte, the log without their events: a day file is named by its content.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from freshet.core.ports import Progress, silent
from freshet.stages.events import snapshots
from freshet.stages.events.damaged_days import reading
from freshet.stages.events.event_days import DayFile, write_days
from freshet.stages.events.parquet_files import as_written
from freshet.stages.events.snapshots import Snapshot, commit, latest
from freshet.storage import sql
from freshet.storage.durable import make_folder, sync

_TOGETHER = 500
"""Day files looked into by one query."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What the log has lost.

    Attributes:
        events: rows.
        first, last: days of them.
        renamed: name of an event file -> that of the day without them, '' where nothing is left of the day.
        files: superseded files that were deleted.
    """

    events: int = 0
    first: date | None = None
    last: date | None = None
    renamed: dict[str, str] = field(default_factory=dict)
    files: int = 0


def without_users(root: Path, users: Collection[str], progress: Progress = silent) -> Taken:
    """Take users out of the log of a workspace; call it under the lease.

    Killed before its commit it has changed nothing, and after it the next call deletes what is superseded.

    Raises:
        ArtifactError: a day's file is missing or damaged; nothing has changed.
        Busy: another import finished meanwhile; nothing has changed.
    """
    number, before = latest(root)
    held = _days_of(before.days, users)
    scratch = root / ".drafts" / f"forget-{uuid4().hex[:8]}"
    make_folder(scratch)
    rows, after, renamed = 0, [], {}
    values = pa.array(sorted(users), pa.large_string())
    for done, day in enumerate(held, 1):
        kept = _rewritten(day, values, root, scratch)
        rows += day.rows - (kept.rows if kept else 0)
        renamed[day.path.name] = kept.path.name if kept else ""
        after += [kept] if kept else []
        progress(done, len(held))
    scratch.rmdir()
    if held:
        untouched = [day for day in before.days if day not in set(held)]
        commit(root, number + 1, Snapshot.of((*untouched, *after), before.streams))
    days = [day.day for day in held]
    return Taken(rows, min(days, default=None), max(days, default=None), renamed, drop_earlier(root))


def drop_earlier(root: Path) -> int:
    """Delete every state of the log but the newest, and the files that it doesn't name; returns how many.

    There is no state to fall back to afterwards; who reads a file that goes gets an error that it is missing.
    """
    number, now = latest(root)
    for earlier in snapshots.listed(root):
        if earlier != number:
            snapshots.place(root, earlier).unlink(missing_ok=True)
    named = {day.path for day in now.days}
    gone = [path for path in (root / "events").glob("date=*/*.parquet") if path not in named]
    for path in gone:
        path.unlink()
    for folder in {path.parent for path in gone}:
        sync(folder)
        if not any(folder.iterdir()):
            folder.rmdir()
    return len(gone)


def drop_days(root: Path, before: date) -> int:
    """Drop whole days before one from the log; returns how many events went. Under the lease.

    Raises:
        Busy: another import finished meanwhile; nothing has changed.
    """
    number, log = latest(root)
    kept = [day for day in log.days if day.day >= before]
    older = [path for path in (root / "events").glob("date=*") if path.name < f"date={before}"]
    if not older:
        return 0  # earlier states stay, by which the log falls back
    if len(kept) < len(log.days):
        commit(root, number + 1, Snapshot.of(kept, log.streams))
    drop_earlier(root)  # also where a killed call had not
    return log.rows - sum(day.rows for day in kept)


def events_of(root: Path, users: Collection[str]) -> tuple[date | None, int]:
    """The first day of the log on which one of these users did something, and their events."""
    days, values, rows = _days_of(latest(root)[1].days, users), pa.array(sorted(users), pa.large_string()), 0
    for day in days:
        column = pq.read_table(day.path, columns=["user"])["user"].cast(pa.large_string())
        rows += int(pc.sum(pc.is_in(column, value_set=values)).as_py() or 0)
    return min((day.day for day in days), default=None), rows


def _days_of(days: Sequence[DayFile], users: Collection[str]) -> list[DayFile]:
    """Days that hold any of these users, in order; files are sorted by user, so little of each is read."""
    found: set[str] = set()
    wanted = pa.table({"u": pa.array(sorted(users), pa.string())})
    with sql.connect() as connection:
        connection.register("wanted", wanted)
        for start in range(0, len(days), _TOGETHER):
            part = days[start : start + _TOGETHER]
            for day in part:
                day.check()
            files = sql.texts([str(day.path) for day in part])
            source = (
                f"read_parquet({files}, union_by_name = true, hive_partitioning = false, filename = true)"
            )
            query = f'SELECT DISTINCT filename FROM {source} WHERE "user" IN (FROM wanted)'
            with reading(part):
                found |= {name for (name,) in connection.sql(query).fetchall()}
    return [day for day in days if str(day.path) in found]


def _rewritten(day: DayFile, users: pa.Array, root: Path, scratch: Path) -> DayFile | None:
    """The day without these users; None where nobody is left."""
    day.verify()
    with pq.ParquetFile(day.path) as file:
        schema = as_written(file.schema_arrow)
        batches = (
            batch
            for number in range(file.num_row_groups)
            for batch in _without(file.read_row_group(number).cast(schema), users).to_batches()
        )
        written = write_days(pa.RecordBatchReader.from_batches(schema, batches), root, scratch)
    return written[0] if written else None


def _without(rows: pa.Table, users: pa.Array) -> pa.Table:
    return rows.filter(pc.invert(pc.is_in(rows["user"], value_set=users)))
