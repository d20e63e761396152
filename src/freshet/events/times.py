"""When an event happened: a source's time column as UTC microseconds, whatever it holds."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from freshet.errors import ConfigError, InputError
from freshet.events import sql
from freshet.events.reading import Table

_UNITS = ("seconds", "milliseconds", "microseconds", "nanoseconds")
_SAMPLE = 100_000
_ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ", "TIMESTAMP_NS WITH TIME ZONE")
_ZONELESS = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_NUMBERS = (*_INTEGERS, *(f"U{name}" for name in _INTEGERS), "FLOAT", "DOUBLE", "DECIMAL")
# A clock time followed by Z, an offset, or the name of a zone.
_HAS_ZONE = r":\d{2}(\.\d+)?\s*([Zz]|[+-]\d{1,2}(:?\d{2})?|UTC|GMT|[A-Za-z]+/\S+)\s*$"


@dataclass(frozen=True, slots=True)
class Clock:
    """How to read a time column.

    Attributes:
        time: SQL TIMESTAMP in UTC; NULL where it can't be read.
        zoneless: SQL boolean: the time says no zone.
        note: what was assumed about numbers, or ''.
    """

    time: str
    zoneless: str
    note: str


def clock(connection: duckdb.DuckDBPyConnection, table: Table, column: str, zone: str) -> Clock:
    """How to read `column` of a table, with `zone` for times that carry none.

    Numbers are seconds, milliseconds, microseconds or nanoseconds since 1970 by the size of most of the
    file's first 100,000.

    Raises:
        InputError: the column's type can't be a time.
        ConfigError: the zone is unknown.
    """
    type_ = table.columns[column].split("(")[0]
    name = sql.name(column)
    if type_ in _ZONED:
        return Clock(f"CAST({name} AS TIMESTAMP)", "false", "")
    if type_ in _ZONELESS:
        return Clock(_to_utc(f"CAST({name} AS TIMESTAMP)", _known(connection, zone)), "true", "")
    if type_ in _NUMBERS:
        unit = _unit(connection, table, name)
        return Clock(_since_1970(name, unit), "false", _note(table, column, unit))
    if type_ == "VARCHAR":
        unit = _unit(connection, table, name)
        is_number = f"coalesce(isfinite(TRY_CAST({name} AS DOUBLE)), false)"
        has_zone = f"regexp_matches({name}, {sql.text(_HAS_ZONE)})"
        with_zone = f"CAST(TRY_CAST({name} AS TIMESTAMPTZ) AS TIMESTAMP)"
        without = _to_utc(f"TRY_CAST({name} AS TIMESTAMP)", _known(connection, zone))
        time = (
            f"CASE WHEN {is_number} THEN {_since_1970(name, unit)} "
            f"WHEN {has_zone} THEN {with_zone} ELSE {without} END"
        )
        return Clock(time, f"(NOT {is_number} AND NOT {has_zone})", _note(table, column, unit))
    raise InputError(
        f"{table.path}: column {column!r} is {type_}, which can't be a time",
        hint="set [events.columns] time to a column of timestamps, ISO text or numbers since 1970",
    )


def _known(connection: duckdb.DuckDBPyConnection, zone: str) -> str:
    query = f"SELECT count(*) FROM pg_timezone_names() WHERE name = {sql.text(zone)}"
    if sql.row(connection, query) == (0,):
        raise ConfigError(
            f"[events] timezone {zone!r} is not a time zone", hint="such as UTC or Europe/Berlin"
        )
    return zone


def _to_utc(time: str, zone: str) -> str:
    return time if zone == "UTC" else f"CAST(timezone({sql.text(zone)}, {time}) AS TIMESTAMP)"


def _unit(connection: duckdb.DuckDBPyConnection, table: Table, name: str) -> int | None:
    """Index of the unit that fits most of the numbers; None if there are none.

    The bounds are far from any date: 1e11 seconds is the year 5138, 1e11 milliseconds is 1973.
    """
    counts = sql.row(
        connection,
        f"""SELECT count_if(x < 1e11), count_if(x >= 1e11 AND x < 1e14),
                   count_if(x >= 1e14 AND x < 1e17), count_if(x >= 1e17)
            FROM (SELECT abs(TRY_CAST({name} AS DOUBLE)) AS x FROM ({table.query}) LIMIT {_SAMPLE})
            WHERE isfinite(x)""",
    )
    if not any(counts):
        return None
    return counts.index(max(counts))


def _since_1970(name: str, unit: int | None) -> str:
    scale = 10.0 ** (6 - 3 * (unit or 0))
    # Clipped far outside what is accepted, so that an absurd number is "in the future", not an overflow.
    micros = f"least(greatest(round(TRY_CAST({name} AS DOUBLE) * {scale!r}), -1e15), 2.5e17)"
    return f"CASE WHEN isfinite(TRY_CAST({name} AS DOUBLE)) THEN make_timestamp(CAST({micros} AS BIGINT)) END"


def _note(table: Table, column: str, unit: int | None) -> str:
    if unit is None:
        return ""
    return f"{table.path.name}: numbers in {column!r} read as {_UNITS[unit]} since 1970"
