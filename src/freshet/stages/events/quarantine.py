"""Rows that could not be used: kept as they were, with the reason, under a name made of their content.

A file of which no row can be used is an error that shows a row, before anything of it enters the log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from pyarrow import ArrowException

from freshet.core.errors import InputError
from freshet.core.urls import Location, Url
from freshet.stages.events.first_day import ON_PURPOSE
from freshet.stages.events.parquet_files import checksum, checksum_of, write_parquet
from freshet.stages.events.source_tables import rejects
from freshet.storage import sql
from freshet.storage.checksums import remembered

if TYPE_CHECKING:
    from freshet.stages.events.staging import Staged


REASON, ROW, RAW = "freshet reason", "freshet number", "freshet raw"
"""Columns of a draft: why a row can't be used (NULL if it can), its number, and its content as JSON."""

_LONGEST = 180
"""Bytes of a source's name in that of its quarantine; file systems allow 255 in all."""

UNREADABLE_ROW = "unreadable row"
REPEATED_HEADER = "repeated header"


def keep(
    connection: duckdb.DuckDBPyConnection, draft: str, source: Location, into: Path, *, shown: bool = True
) -> Path | None:
    """Write a draft's bad rows to `<into>/<source>-<hash>.parquet`; the same rows give the same file.

    Columns: row (number among the rows that have fields, NULL for others), line (of what has no fields),
    reason, raw (JSON of the row, or the line as it stands). Of what is refused on purpose nothing is kept.

    Args:
        draft: a table, or a function that reads one, in SQL.
        shown: lines may be kept as they stand: they hold no id that must not be known.
    """
    on_purpose = sql.texts(sorted(ON_PURPOSE))
    line = "content" if shown else "NULL"
    reason, number, raw = sql.name(REASON), sql.name(ROW), sql.name(RAW)
    table = connection.sql(
        f"""SELECT * FROM (
                SELECT {number} AS "row", CAST(NULL AS BIGINT) AS line, {reason} AS reason, {raw} AS raw
                FROM {draft} WHERE {reason} IS NOT NULL AND NOT list_contains({on_purpose}, {reason})
                UNION ALL
                SELECT NULL, line, {sql.text(UNREADABLE_ROW)}, {line} FROM ({rejects(connection)}))
            ORDER BY "row", line, raw"""
    ).to_arrow_table()
    if table.num_rows == 0:
        return None
    named = str(source) if isinstance(source, Url) else source.name  # of an object, its bucket as well
    name = re.sub(r"[^\w.=-]+", "_", named).encode()[-_LONGEST:].decode(errors="ignore")
    path = into / f"{name}-{checksum(table)}.parquet"
    write_parquet(table, path)
    return path


def is_whole(path: Path) -> bool:
    """Whether a quarantine file holds the rows it is named by."""
    try:
        return path.stem.rpartition("-")[2] == remembered(path, checksum_of)
    except (OSError, ValueError, ArrowException):
        return False


_MANY = 0.05  # of a file's rows that are quarantined are many
_SHOWN = 300  # characters of a row
_TO_DO = {
    "missing user": "set [events.columns] user to the column that holds the user",
    "missing item": "set [events.columns] item to the column that holds the item",
    "missing time": "set [events.columns] time to the column that holds the time",
    "value is not a number": "write values as 4.5, or true and false; or set [events.columns] value to "
    "another column, '' = 1 for every event",
    UNREADABLE_ROW: "check the file's delimiter and quotes, or that each line is a JSON object",
}
_IDS = {  # by how the reason ends, whatever id it is about
    "has lost digits": "export it again with ids as text: spreadsheets and columns of floats shorten numbers",
    "is neither text nor a number": "write ids as text or as whole numbers",
}


class Refused(InputError):
    """No row of a file can be used; `until` is the day of its last event, where its times can be read."""

    def __init__(self, message: str, *, hint: str = "", until: date | None = None) -> None:
        super().__init__(message, hint=hint)
        self.until = until


def refused(connection: duckdb.DuckDBPyConnection, staged: Staged) -> Refused | None:
    """What is wrong with a file just staged, if it has rows and all of them are quarantined."""
    gone = sum(staged.quarantined.get(why, 0) for why in ON_PURPOSE)  # nothing is wrong with them, or shown
    bad = {why: count for why, count in staged.quarantined.items() if why not in ON_PURPOSE}
    if staged.rows == gone or sum(bad.values()) < staged.rows - gone:
        return None
    message, why = _none_of(
        connection, sql.parquet([staged.path]), staged.source, staged.rows - gone, bad, shown=staged.shown
    )
    return Refused(message, hint=_to_do(why, staged.advice), until=_until(connection, staged.path))


def note_quarantined(connection: duckdb.DuckDBPyConnection, staged: Staged) -> str:
    """A note on a file just staged if many of its rows are quarantined, else ''."""
    bad = {why: count for why, count in staged.quarantined.items() if why not in ON_PURPOSE}
    draft = sql.parquet([staged.path])
    return many(connection, draft, staged.source, staged.rows, bad, shown=staged.shown)


def refuse_items(
    connection: duckdb.DuckDBPyConnection,
    draft: str,
    source: Location,
    rows: int,
    quarantined: Mapping[str, int],
) -> None:
    """Check an item file that was just read.

    Args:
        draft: its rows, as in `keep`.

    Raises:
        InputError: it has rows, and all of them are quarantined.
    """
    if rows and sum(quarantined.values()) == rows:
        message, why = _none_of(connection, draft, source, rows, quarantined)
        column = "set [events.item_columns] item to the column that holds the item's id"
        raise InputError(message, hint=column if why == "missing item" else _to_do(why, column))


def many(
    connection: duckdb.DuckDBPyConnection,
    draft: str,
    source: Location,
    rows: int,
    quarantined: Mapping[str, int],
    *,
    shown: bool = True,
) -> str:
    """A note on a file if many of its rows are quarantined, else ''."""
    count = sum(quarantined.values())
    if count <= _MANY * rows:
        return ""
    why = _main(quarantined)
    return f"{source.name}: {count / rows:.0%} of its rows are refused, such as {why}, " + _example(
        connection, draft, why, shown=shown
    )


def _main(quarantined: Mapping[str, int]) -> str:
    return max(quarantined, key=lambda reason: quarantined[reason])


def _none_of(
    connection: duckdb.DuckDBPyConnection,
    draft: str,
    source: Location,
    rows: int,
    quarantined: Mapping[str, int],
    *,
    shown: bool = True,
) -> tuple[str, str]:
    listed = ", ".join(f"{reason}: {count:,}" for reason, count in quarantined.items())
    why = _main(quarantined)
    example = _example(connection, draft, why, shown=shown)
    return f"{source}: none of its {rows:,} rows can be used ({listed}); such as {example}", why


def _to_do(why: str, otherwise: str) -> str:
    ids = next((hint for ending, hint in _IDS.items() if why.endswith(ending)), otherwise)
    return _TO_DO.get(why, ids)


def _example(connection: duckdb.DuckDBPyConnection, draft: str, why: str, *, shown: bool) -> str:
    """The first row with a reason."""
    reason, number, raw = sql.name(REASON), sql.name(ROW), sql.name(RAW)
    place, row = sql.row(
        connection,
        f"""SELECT place, raw FROM (
                SELECT 'row ' || {number} AS place, {number} AS nr, {raw} AS raw
                FROM {draft} WHERE {reason} = {sql.text(why)}
                UNION ALL SELECT 'line ' || line, line, content FROM ({rejects(connection)})
                WHERE {sql.text(why)} = {sql.text(UNREADABLE_ROW)})
            ORDER BY nr LIMIT 1""",
    )
    if not shown:
        return str(place)
    return f"{place}: {row if len(row) <= _SHOWN else row[:_SHOWN] + '...'}"


def _until(connection: duckdb.DuckDBPyConnection, draft: Path) -> date | None:
    (last,) = sql.row(
        connection,
        f"""SELECT max(CAST("time" AS DATE)) FROM {sql.parquet([draft])}
            WHERE {sql.name(REASON)} NOT LIKE 'time %'""",
    )
    return last if isinstance(last, date) else None
