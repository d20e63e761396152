"""How staged rows join the log, as SQL: one row per event identity, sorted by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb

from freshet.stages.events import quarantine
from freshet.stages.events.columns import CANONICAL
from freshet.stages.events.damaged_days import reading
from freshet.stages.events.event_days import DayFile
from freshet.stages.events.snapshots import Snapshot
from freshet.stages.events.staging import NOT_IN_LOG
from freshet.storage import sql


@dataclass(frozen=True, slots=True)
class Rows:
    """Events as a query, with their number and the columns beside the canonical ones."""

    query: str
    rows: int
    extras: frozenset[str]


@dataclass(frozen=True, slots=True)
class Incoming(Rows):
    """The good rows of all staged files; first and last are times in UTC."""

    days: frozenset[date]
    first: datetime | None
    last: datetime | None
    has_ids: bool


NOTHING = Incoming("", 0, frozenset(), frozenset(), None, None, has_ids=False)
"""No rows at all."""


def incoming(connection: duckdb.DuckDBPyConnection, drafts: list[Path]) -> Incoming:
    """The good rows of the drafts."""
    columns = [name for name in _columns(connection, drafts) if name not in NOT_IN_LOG]
    listed = ", ".join(sql.name(name) for name in columns)
    query = f"SELECT {listed} FROM {sql.parquet(drafts)} WHERE {sql.name(quarantine.REASON)} IS NULL"
    rows, ids, first, last, days = sql.row(
        connection,
        f"""SELECT count(*), count(id), min("time"), max("time"),
                   coalesce(list(DISTINCT CAST("time" AS DATE)), []) FROM ({query})""",
    )
    return Incoming(query, rows, frozenset(columns) - {*CANONICAL}, frozenset(days), first, last, ids > 0)


def days_of_same_ids(connection: duckdb.DuckDBPyConnection, new: Incoming, log: Snapshot) -> frozenset[date]:
    """Days on which the log holds an event whose id comes in again, maybe with another time."""
    if not new.has_ids or not log.days:
        return frozenset()
    with reading(log.days):
        found = connection.sql(
            f"""SELECT DISTINCT CAST("time" AS DATE) FROM {log.scan}
                WHERE id IN (SELECT id FROM ({new.query}) WHERE id IS NOT NULL)"""
        ).fetchall()
    return frozenset(day for (day,) in found)


def kept(connection: duckdb.DuckDBPyConnection, days: list[DayFile], new: Incoming, replace: bool) -> Rows:
    """The log's rows of some days that stay in competition: all, or with `replace` those with other ids."""
    if not days:
        return Rows("", 0, frozenset())
    paths = [day.path for day in days]
    extras = frozenset(_columns(connection, paths)) - {*CANONICAL}
    query, rows = f"SELECT * FROM {sql.parquet(paths)}", sum(day.rows for day in days)
    if replace and new.has_ids:
        query += f" WHERE id IS NULL OR id NOT IN (SELECT id FROM ({new.query}) WHERE id IS NOT NULL)"
        (rows,) = sql.row(connection, f"SELECT count(*) FROM ({query})")
    return Rows(query, rows, extras)


def merged(new: Incoming, old: Rows) -> str:
    """SQL for the events of both, one per identity, sorted by (day, user, time, item, id).

    The winner among rows of one identity has the largest value, then the largest other columns, missing ones
    last: a total order, so that merging is associative and commutative.
    """
    extras = sorted(new.extras | old.extras)
    listed = ", ".join(sql.name(column) for column in (*CANONICAL, *extras))
    union = f"({new.query}) UNION ALL BY NAME ({old.query})" if old.query else new.query
    identity = ", ".join(
        [
            "id",
            *(f"CASE WHEN id IS NULL THEN {sql.name(part)} END" for part in ("user", "item", "time")),
        ]
    )
    order = ", ".join(
        f"{sql.name(column)} DESC NULLS LAST" for column in ("value", *extras, "time", "user", "item")
    )
    return f"""SELECT {listed} FROM ({union})
        QUALIFY row_number() OVER (PARTITION BY {identity} ORDER BY {order}) = 1
        ORDER BY CAST("time" AS DATE), "user", "time", item, id"""


def _columns(connection: duckdb.DuckDBPyConnection, paths: list[Path]) -> list[str]:
    return [row[0] for row in connection.sql(f"DESCRIBE SELECT * FROM {sql.parquet(paths)}").fetchall()]
