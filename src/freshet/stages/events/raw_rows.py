"""Rows of a Parquet file as they stand, all columns, for those few that can't be used.

A wide file is read column by column for what the log needs. What quarantine keeps needs every column,
so it is read afterwards, from the row groups that hold such rows alone.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from freshet.stages.events import quarantine
from freshet.stages.events.source_tables import ROW, Table
from freshet.storage import sql

_RAWS = "freshet_raws"


def add(connection: duckdb.DuckDBPyConnection, table: Table, draft: Path) -> None:
    """Write the raw rows of a Parquet file into a draft that has none yet, where a reason wants them."""
    reason, number, raw = (sql.name(part) for part in (quarantine.REASON, quarantine.ROW, quarantine.RAW))
    bad = f"SELECT {number} FROM {sql.parquet([draft])} WHERE {reason} IS NOT NULL"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_RAWS} (number BIGINT, raw VARCHAR)")
    for first, last in _stretches(connection, table.in_columns, bad):
        connection.execute(
            f"""INSERT INTO {_RAWS} SELECT {sql.name(ROW)}, {table.raw} FROM ({table.query})
                WHERE {sql.name(ROW)} BETWEEN {first} AND {last} AND {sql.name(ROW)} IN ({bad})"""
        )
    whole = draft.with_suffix(".whole")
    connection.execute(
        f"""COPY (SELECT draft.* REPLACE (raws.raw AS {raw}) FROM {sql.parquet([draft])} AS draft
                  LEFT JOIN {_RAWS} AS raws ON draft.{reason} IS NOT NULL AND draft.{number} = raws.number)
            TO {sql.text(str(whole))} (FORMAT parquet)"""
    )
    connection.execute(f"DROP TABLE {_RAWS}")
    whole.replace(draft)


def _stretches(connection: duckdb.DuckDBPyConnection, name: str, bad: str) -> list[tuple[int, int]]:
    """First and last rows of the stretches of row groups that hold such rows, counted from 1."""
    sizes = f"""SELECT row_group_id AS id, any_value(row_group_num_rows) AS rows
                FROM parquet_metadata({sql.text(name)}) GROUP BY row_group_id"""
    groups = f"SELECT id, sum(rows) OVER (ORDER BY id) AS last, last - rows + 1 AS first FROM ({sizes})"
    found = connection.sql(
        f"""SELECT min(first)::BIGINT, max(last)::BIGINT FROM (
                SELECT *, id - row_number() OVER (ORDER BY id) AS stretch FROM ({groups}) AS each
                WHERE EXISTS (SELECT 1 FROM ({bad}) AS bad(number) WHERE number BETWEEN first AND last))
            GROUP BY stretch ORDER BY 1"""
    ).fetchall()
    return [(int(first), int(last)) for first, last in found]
