"""Days of events become days of engagements: who engaged which interest when.

Rows are distinct (user, step, interest): several items of one interest in one step are one engagement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from datetime import date
from pathlib import Path

import duckdb
import numpy as np

from freshet.stages.transitions.day_files import ENGAGEMENT, Filed, Rows, keep, quoted, split
from freshet.stages.transitions.order import arranged, first_of_equals
from freshet.stages.transitions.users import keys

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


def engagements(
    db: duckdb.DuckDBPyConnection,
    threads: Executor,
    days: Days,
    assignment: Path,
    positive_sql: str,
    pool: Path,
) -> Iterator[tuple[str, Filed | Rows]]:
    """Engagements of the given days, in order: filed where a day has a file of its own, else as rows.

    Args:
        db: a connection whose memory limit bounds the work.
        threads: batches of days are done side by side.
        days: (day, event file), ascending.
        assignment: Parquet of (item, interest index).
        positive_sql: the positive rule; a null counts as not positive.
        pool: where day files live.
    """
    if not days:
        return
    db.execute(f"CREATE OR REPLACE TABLE assignment AS FROM read_parquet({quoted(assignment)})")

    def work(batch: Days) -> list[tuple[str, Filed | Rows]]:
        found = dict(split(_engaged(db.cursor(), batch, days, positive_sql)))
        nothing = np.empty(0, ENGAGEMENT)
        return [
            (str(day), keep(pool, "engagements", str(day), found.get(str(day), nothing))) for day, _ in batch
        ]

    for done in threads.map(work, _batches(days)):
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
    return first_of_equals(arranged(rows))


def _listed(days: Days) -> str:
    return ", ".join(quoted(path) for _, path in days)
