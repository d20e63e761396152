"""Rows that could not be used: kept as they were, with the reason, under a name made of their content."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from freshet.stages.events import sql
from freshet.stages.events.columnar import checksum, checksum_of, write_parquet
from freshet.stages.events.reading import rejects
from freshet.storage.checksums import remembered

REASON, ROW, RAW = "freshet reason", "freshet number", "freshet raw"
"""Columns of a draft: why a row can't be used (NULL if it can), its number, and its content as JSON."""

_LONGEST = 180
"""Bytes of a source's name in that of its quarantine; file systems allow 255 in all."""

UNREADABLE_ROW = "unreadable row"
REPEATED_HEADER = "repeated header"


def keep(connection: duckdb.DuckDBPyConnection, draft: str, source: Path, into: Path) -> Path | None:
    """Write a draft's bad rows to `<into>/<source>-<hash>.parquet`; the same rows give the same file.

    Columns: row (number among the rows that have fields, NULL for others), line (of what has no fields),
    reason, raw (JSON of the row, or the line as it stands).

    Args:
        draft: a table, or a function that reads one, in SQL.
    """
    reason, number, raw = sql.name(REASON), sql.name(ROW), sql.name(RAW)
    table = connection.sql(
        f"""SELECT * FROM (
                SELECT {number} AS "row", CAST(NULL AS BIGINT) AS line, {reason} AS reason, {raw} AS raw
                FROM {draft} WHERE {reason} IS NOT NULL
                UNION ALL
                SELECT NULL, line, {sql.text(UNREADABLE_ROW)}, content FROM ({rejects(connection)}))
            ORDER BY "row", line, raw"""
    ).to_arrow_table()
    if table.num_rows == 0:
        return None
    name = re.sub(r"[^\w.-]+", "_", source.name).encode()[-_LONGEST:].decode(errors="ignore")
    path = into / f"{name}-{checksum(table)}.parquet"
    write_parquet(table, path)
    return path


def is_whole(path: Path) -> bool:
    """Whether a quarantine file holds the rows it is named by."""
    try:
        return path.stem.rpartition("-")[2] == remembered(path, checksum_of)
    except (OSError, ValueError):
        return False
