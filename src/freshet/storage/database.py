"""DuckDB, as everything in Freshet opens it."""

from __future__ import annotations

import duckdb

_AT_HOME: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""DuckDB would fetch an extension over the network where a query seems to need one; ours are built in."""


def connect(**settings: str | int) -> duckdb.DuckDBPyConnection:
    """An in-memory database with these settings of DuckDB's, which fetches nothing over the network."""
    return duckdb.connect(config={**_AT_HOME, **settings})
