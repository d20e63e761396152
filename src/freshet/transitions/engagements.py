"""A day of events becomes a day of engagements: who engaged which interest when.

Rows are distinct (user, step, interest): several items of one interest in one step are one engagement.
Users are kept as the lower 64 bits of the MD5 of their id; among 10 million users the chance that any two
share a key is about 3 in a million.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb

from freshet.transitions.pool import BATCH, DAY, ENGAGEMENTS, by_day, quoted, write_day

CODE = 1
"""Raise when the definition changes, so that all days are done again."""


def sources(days: Sequence[tuple[date, Path]], assignment: Path, positive_sql: str) -> dict[str, str]:
    """What each day's engagements depend on, as a hash: its events, the assignment, the positive rule."""
    with assignment.open("rb") as file:
        rest = hashlib.file_digest(file, "sha256").hexdigest() + positive_sql + str(CODE)
    return {
        str(day): hashlib.blake2b((path.name + rest).encode(), digest_size=12).hexdigest()
        for day, path in days
    }


def write_engagements(
    db: duckdb.DuckDBPyConnection,
    days: Sequence[tuple[date, Path]],
    assignment: Path,
    positive_sql: str,
    pool: Path,
) -> dict[str, str]:
    """Engagement files of the given days; days without an engagement are absent from the answer.

    Args:
        db: a connection whose memory limit bounds the work.
        days: (day, event file).
        assignment: Parquet of (item, interest index).
        positive_sql: the positive rule; a null counts as not positive.
        pool: where day files live.

    Returns:
        Day -> file name within the pool.
    """
    if not days:
        return {}
    files = ", ".join(quoted(path) for _, path in days)
    reader = db.sql(
        f"""FROM (
            SELECT DISTINCT md5_number_lower(e.user) AS user_key, epoch_us(e.time) AS time, a.interest
            FROM read_parquet([{files}], hive_partitioning = false, union_by_name = true) AS e
            JOIN read_parquet({quoted(assignment)}) AS a ON a.item = e.item
            WHERE coalesce(({positive_sql}), false)
        ) ORDER BY time // {DAY}, user_key, time, interest"""
    ).to_arrow_reader(BATCH)
    return {day: write_day(pool, "engagements", ENGAGEMENTS, day, table) for day, table in by_day(reader)}
