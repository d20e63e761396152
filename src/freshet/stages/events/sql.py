"""DuckDB as events use it: one connection, bounded in memory, and safe quoting of names and text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from freshet.storage import database


def connect(scratch: Path, memory_limit: str = "2GB") -> duckdb.DuckDBPyConnection:
    """An in-memory database that spills to `scratch` beyond `memory_limit` and speaks UTC."""
    connection = database.connect(temp_directory=str(scratch), memory_limit=memory_limit)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET arrow_large_buffer_size = true")  # a batch of long ids may pass 2 GB
    return connection


def row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """The single row of a query, such as an aggregate."""
    (found,) = connection.sql(query).fetchall()
    return tuple(found)


def name(column: str) -> str:
    """A column name as a quoted SQL identifier."""
    return '"' + column.replace('"', '""') + '"'


def text(value: str) -> str:
    """A string as a SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def texts(values: list[str]) -> str:
    """Strings as a SQL list literal."""
    return "[" + ", ".join(text(value) for value in values) + "]"


def parquet(paths: list[Path]) -> str:
    """A table function over Parquet files whose folder names carry no columns."""
    files = texts([str(path) for path in paths])
    return f"read_parquet({files}, union_by_name = true, hive_partitioning = false)"
