"""Days of events become days of engagements: who engaged which interest when.

Rows are distinct (user, step, interest): several items of one interest in one step are one engagement. They
are sorted by (user, time, interest) in a few passes over memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from functools import lru_cache
from pathlib import Path
from threading import Lock

import duckdb
import numpy as np
from numba import njit

from freshet.core.ports import Executor, Resources
from freshet.core.user_numbers import keys
from freshet.stages.transitions.day_files import ENGAGEMENT, Filed, Rows, file_day, quoted, split_by_day
from freshet.storage.sql import connect

BATCH_BYTES = 4 << 20
"""Event files read by one query: many small ones, or one large one."""

Days = Sequence[tuple[date, Path]]


def reassigned(db: duckdb.DuckDBPyConnection, days: Days, before: Path, now: Path) -> set[str]:
    """Days that hold an item whose interest changed, came or went between two assignments."""
    changed = (
        f"(SELECT item FROM read_parquet({quoted(before)}) AS b FULL JOIN read_parquet({quoted(now)}) AS n "
        "USING (item) WHERE b.interest IS DISTINCT FROM n.interest)"
    )
    if not days or not db.sql(f"FROM {changed} LIMIT 1").fetchall():
        return set()
    found = db.sql(
        f"SELECT DISTINCT filename FROM read_parquet([{_listed(days)}], hive_partitioning = false, "
        f"filename = true) WHERE item IN (FROM {changed})"
    ).fetchall()
    held = {name for (name,) in found}
    return {str(day) for day, path in days if str(path) in held}


def database(memory: str, scratch: Path, threads: int) -> duckdb.DuckDBPyConnection:
    """DuckDB as counting uses it; `memory` is its limit, beyond which it spills into `scratch`."""
    db = connect(memory_limit=memory, temp_directory=str(scratch / f"sql-{os.getpid()}"), threads=threads)
    db.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false; SET preserve_insertion_order = false")
    # the filter that a join would push down compares every item's text with the first and last known
    db.execute("SET disabled_optimizers = 'join_filter_pushdown'")
    return db


class EngagementReader:
    """A batch of days -> their engagements, each filed where a day has a file of its own, else as rows.

    Threads of a process share its database. A copy that goes to another process opens one there, with one
    thread, and shares it with further copies that come there for the same count.

    Args:
        days: (day, event file), ascending: all that are derived.
        assignment: Parquet of (item, interest index).
        positive_sql: the positive rule; a null counts as not positive.
        pool: where day files live.
        scratch: where the database spills, beyond so much `memory`.
    """

    def __init__(
        self,
        days: Days,
        assignment: Path,
        positive_sql: str,
        pool: Path,
        scratch: Path,
        memory: str,
        threads: int = 1,
    ) -> None:
        self._made_of = tuple(days), assignment, positive_sql, pool, scratch, memory
        self._threads = threads
        self._lock = Lock()
        self._db: duckdb.DuckDBPyConnection | None = None

    def __reduce__(self) -> tuple[object, ...]:
        return _reader_of_process, self._made_of

    def __call__(self, batch: Days) -> list[tuple[str, Filed | Rows]]:
        days, _, positive_sql, pool, _, _ = self._made_of
        found = dict(split_by_day(_engaged(self._cursor(), batch, days, positive_sql)))
        nothing = np.empty(0, ENGAGEMENT)
        return [
            (str(day), file_day(pool, "engagements", str(day), found.get(str(day), nothing)))
            for day, _ in batch
        ]

    def close(self) -> None:
        """Close the database, if one was opened."""
        if self._db is not None:
            self._db.close()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._db is None:
                _, assignment, _, _, scratch, memory = self._made_of
                self._db = database(memory, scratch, self._threads)
                self._db.execute(f"CREATE TABLE assignment AS FROM read_parquet({quoted(assignment)})")
            return self._db.cursor()


@lru_cache(maxsize=1)
def _reader_of_process(
    days: Days, assignment: Path, positive_sql: str, pool: Path, scratch: Path, memory: str
) -> EngagementReader:
    return EngagementReader(days, assignment, positive_sql, pool, scratch, memory)


def engagements(
    executor: Executor, needs: Resources | None, reader: EngagementReader, days: Days
) -> Iterator[tuple[str, Filed | Rows]]:
    """Engagements of the given days, in order: filed where a day has a file of its own, else as rows."""
    if days:
        with closing(reader):
            for done in executor.map(reader, _batches(days), needs):
                yield from done


def _batches(days: Days) -> list[Days]:
    batches: list[list[tuple[date, Path]]] = [[]]
    size = 0
    for day, path in days:
        size += path.stat().st_size
        if batches[-1] and size > BATCH_BYTES:
            batches.append([])
            size = path.stat().st_size
        batches[-1].append((day, path))
    return list(batches)


def _engaged(db: duckdb.DuckDBPyConnection, batch: Days, days: Days, positive_sql: str) -> Rows:
    """Distinct engagements, sorted by (user, time, interest)."""
    source = f"read_parquet([{_listed(batch)}], hive_partitioning = false, union_by_name = true)"
    query = (
        "SELECT e.user, epoch_us(e.time) AS time, a.interest::SMALLINT AS interest FROM ("
        'SELECT "user", item, "time" FROM {source} WHERE coalesce(({rule}), false)) AS e '
        "JOIN assignment AS a ON a.item = e.item"
    )
    try:
        found = db.sql(query.format(source=source, rule=positive_sql)).to_arrow_table()
    except duckdb.BinderException:  # the rule reads a column that these days lack and others have
        everything = f"read_parquet([{_listed(days)}], hive_partitioning = false, union_by_name = true)"
        source = f"((FROM {everything} WHERE false) UNION ALL BY NAME (FROM {source}))"
        found = db.sql(query.format(source=source, rule=positive_sql)).to_arrow_table()
    rows = np.empty(len(found), ENGAGEMENT)
    rows["user"] = keys(found["user"])
    rows["time"] = found["time"].to_numpy()
    rows["interest"] = found["interest"].to_numpy()
    return drop_repeated(sort_engagements(rows))


def _listed(days: Days) -> str:
    return ", ".join(quoted(path) for _, path in days)


def sort_engagements(rows: Rows) -> Rows:
    """Engagements sorted by (user, time, interest).

    User keys are hashes, so a counting sort by their upper bits leaves few rows per slot, which are then put
    in order; quickest where a user's rows come in order of time already.
    """
    out = np.empty_like(rows)
    if len(rows):
        _sort(rows, rows["user"], out, out["user"], out["time"], out["interest"])
    return out


def drop_repeated(rows: Rows) -> Rows:
    """Sorted engagements without repetitions."""
    return rows.take(np.flatnonzero(_is_first(rows["user"], rows["time"], rows["interest"])))


@njit(cache=True, nogil=True)
def _sort(rows, user, out, to_user, to_time, to_interest):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    least, most = user[0], user[0]
    for i in range(len(rows)):
        least = min(least, user[i])
        most = max(most, user[i])
    shift = np.uint64(0)
    while (most - least) >> shift > np.uint64(len(rows) // 2):
        shift += np.uint64(1)
    ends = np.zeros(int((most - least) >> shift) + 2, np.int64)
    for i in range(len(rows)):
        ends[((user[i] - least) >> shift) + np.uint64(1)] += 1
    for i in range(1, len(ends)):
        ends[i] += ends[i - 1]
    for i in range(len(rows)):  # rows of one slot keep their order; its start moves to its end
        slot = (user[i] - least) >> shift
        out[ends[slot]] = rows[i]
        ends[slot] += 1
    start = 0
    for end in ends[:-1]:
        gap = 0
        for i in range(start + 1, end):
            if _comes_after(to_user, to_time, to_interest, i - 1, i):
                gap = 1
                break
        while 0 < gap < (end - start) // 3:
            gap = 3 * gap + 1
        while gap:  # Shell's sort: safe where a slot holds a busy user
            for i in range(start + gap, end):
                j = i
                while j - gap >= start and _comes_after(to_user, to_time, to_interest, j - gap, j):
                    to_user[j], to_user[j - gap] = to_user[j - gap], to_user[j]
                    to_time[j], to_time[j - gap] = to_time[j - gap], to_time[j]
                    to_interest[j], to_interest[j - gap] = to_interest[j - gap], to_interest[j]
                    j -= gap
            gap //= 3
        start = end


@njit(cache=True, nogil=True)
def _comes_after(user, time, interest, a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """Whether row a comes after row b."""
    if user[a] != user[b]:
        return user[a] > user[b]
    if time[a] != time[b]:
        return time[a] > time[b]
    return interest[a] > interest[b]


@njit(cache=True, nogil=True)
def _is_first(user, time, interest):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    new = np.ones(len(user), np.bool_)
    for i in range(1, len(user)):
        new[i] = user[i] != user[i - 1] or time[i] != time[i - 1] or interest[i] != interest[i - 1]
    return new
