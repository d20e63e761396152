"""DuckDB as everything in Freshet opens it, and safe quoting of names and text in SQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

_AT_HOME: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""DuckDB would fetch an extension over the network where a query seems to need one; ours are built in."""


def connect(**settings: str | int) -> duckdb.DuckDBPyConnection:
    """An in-memory database with these settings of DuckDB's, which fetches nothing over the network."""
    import duckdb  # late: what only quotes, or names files, needs no database

    return duckdb.connect(config={**_AT_HOME, **settings})


def connect_spilling(scratch: Path, memory_limit: str = "2GB") -> duckdb.DuckDBPyConnection:
    """An in-memory database that spills to `scratch` beyond `memory_limit` and speaks UTC."""
    connection = connect(temp_directory=str(scratch), memory_limit=memory_limit)
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
