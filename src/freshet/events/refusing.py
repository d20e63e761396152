"""A file of which no row can be used: an error that shows a row, before anything of it enters the log."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

from freshet.errors import InputError
from freshet.events import quarantine, sql
from freshet.events.reading import rejects
from freshet.events.staging import Staged

_MANY = 0.05  # of a file's rows that are quarantined are many
_SHOWN = 300  # characters of a row
_TO_DO = {
    "missing user": "set [events.columns] user to the column that holds the user",
    "missing item": "set [events.columns] item to the column that holds the item",
    "missing time": "set [events.columns] time to the column that holds the time",
    "value is not a number": "write values as 4.5, or true and false; or set [events.columns] value to "
    "another column, '' = 1 for every event",
    quarantine.UNREADABLE_ROW: "check the file's delimiter and quotes, or that each line is a JSON object",
}


class Refused(InputError):
    """No row of a file can be used; `until` is the day of its last event, where its times can be read."""

    def __init__(self, message: str, *, hint: str = "", until: date | None = None) -> None:
        super().__init__(message, hint=hint)
        self.until = until


def refused(connection: duckdb.DuckDBPyConnection, staged: Staged) -> Refused | None:
    """What is wrong with a file just staged, if it has rows and all of them are quarantined."""
    if not staged.rows or sum(staged.quarantined.values()) < staged.rows:
        return None
    listed = ", ".join(f"{reason}: {rows:,}" for reason, rows in staged.quarantined.items())
    why = max(staged.quarantined, key=lambda reason: staged.quarantined[reason])
    return Refused(
        f"{staged.source}: none of its {staged.rows:,} rows can be used ({listed}); "
        f"such as {_example(connection, staged.path, why)}",
        hint=_TO_DO.get(why, staged.advice),
        until=_until(connection, staged.path),
    )


def note(connection: duckdb.DuckDBPyConnection, staged: Staged) -> str:
    """What is told of a file just staged of which many rows are quarantined, '' for one of few."""
    count = sum(staged.quarantined.values())
    if count <= _MANY * staged.rows:
        return ""
    why = max(staged.quarantined, key=lambda reason: staged.quarantined[reason])
    shown = _example(connection, staged.path, why)
    return f"{staged.source.name}: {count / staged.rows:.0%} of its rows are refused, such as {why}, {shown}"


def _example(connection: duckdb.DuckDBPyConnection, draft: Path, why: str) -> str:
    """The first row with a reason."""
    reason, number, raw = sql.name(quarantine.REASON), sql.name(quarantine.ROW), sql.name(quarantine.RAW)
    place, shown = sql.row(
        connection,
        f"""SELECT place, raw FROM (
                SELECT 'row ' || {number} AS place, {number} AS nr, {raw} AS raw
                FROM {sql.parquet([draft])} WHERE {reason} = {sql.text(why)}
                UNION ALL SELECT 'line ' || line, line, content FROM ({rejects(connection)})
                WHERE {sql.text(why)} = {sql.text(quarantine.UNREADABLE_ROW)})
            ORDER BY nr LIMIT 1""",
    )
    return f"{place}: {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '...'}"


def _until(connection: duckdb.DuckDBPyConnection, draft: Path) -> date | None:
    (last,) = sql.row(
        connection,
        f"""SELECT max(CAST("time" AS DATE)) FROM {sql.parquet([draft])}
            WHERE {sql.name(quarantine.REASON)} NOT LIKE 'time %'""",
    )
    return last if isinstance(last, date) else None
