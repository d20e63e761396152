"""When an event happened: a source's time column as UTC microseconds, whatever it holds.

How a column is read is decided once per file, by what most of its first values are, never row by row: a value
of another form is an unreadable time. What could be two things is refused, with the setting that settles it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import duckdb

from freshet.core import config
from freshet.core.errors import ConfigError, InputError
from freshet.stages.events import forms, sql
from freshet.stages.events.deciding import SETTLE, decided, words
from freshet.stages.events.forms import DAY_FIRST, ISO, MONTH_FIRST, Column
from freshet.stages.events.reading import Table

EARLIEST = datetime(1980, 1, 1)
"""Before this no log was kept: such a time is a number in the wrong unit, or stands for a missing one."""

FOREVER = datetime(1970, 1, 1)
"""The earliest time a log can hold."""

_ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ", "TIMESTAMPTZ_NS")
_ZONELESS = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_NUMBERS = (*_INTEGERS, *(f"U{name}" for name in _INTEGERS), "FLOAT", "DOUBLE", "DECIMAL")
_BLANKS = " \t\r\n\xa0"


@dataclass(frozen=True, slots=True)
class Clock:
    """How to read a time column.

    Attributes:
        column: its name in the file.
        time: SQL TIMESTAMP in UTC; NULL where it can't be read.
        zoneless: SQL boolean: the time says no zone.
        notes: what was assumed.
        advice: what to do if no time can be used.
        earliest: times before this are refused.
        order: `day-first` or `month-first`, where the file's dates are one of them, else ''.
        bare: the form has no time of day.
    """

    column: str
    time: str
    zoneless: str
    notes: tuple[str, ...]
    advice: str
    earliest: datetime
    order: str = ""
    bare: bool = False


def clock(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    column: str,
    settings: config.Events,
    now: datetime,
    orders: frozenset[str] = frozenset(),
) -> Clock:
    """How to read `column` of a table.

    Args:
        now: the current time, with zone: no event is more than a day later.
        orders: `day-first`, `month-first`: those of other files of the log.

    Raises:
        InputError: the column's type can't be a time, or its values are of several forms.
        Undecided: its dates are day-first or month-first, and no setting and no other file says which.
        ConfigError: the zone or the time format is unknown.
    """
    zone, wanted = _known(connection, settings.timezone), settings.time_format
    type_, name = table.columns[column].split("(")[0], sql.name(column)
    believed = wanted not in ("auto", DAY_FIRST, MONTH_FIRST)
    if type_ in (*_ZONED, *_ZONELESS):
        return _typed(column, type_, zone, FOREVER if believed else EARLIEST)
    if type_ not in (*_NUMBERS, "VARCHAR", '"NULL"'):
        raise InputError(
            f"{table.path}: column {column!r} is {table.columns[column]}, which can't be a time",
            hint="set [events.columns] time to a column of timestamps, text or numbers since 1970",
        )
    held = Column(f"trim(CAST({name} AS VARCHAR), {sql.text(_BLANKS)})", type_ == "VARCHAR")
    if believed:
        return _as_told(connection, column, held, wanted, zone)
    form = decided(connection, table, column, held, now, "" if wanted == "auto" else wanted, orders)
    read = _read(table, column, held, form, zone, now)
    if type_ != "FLOAT":
        return read
    coarse = f"{table.path.name}: {column!r} is a 32-bit float, which holds recent seconds to 2 minutes"
    return replace(read, notes=(*read.notes, coarse))


def _typed(column: str, type_: str, zone: str, earliest: datetime) -> Clock:
    """The clock of a column of timestamps or dates."""
    time, is_zoned = f"TRY_CAST({sql.name(column)} AS TIMESTAMP)", type_ in _ZONED
    advice = (
        f"{column!r} holds timestamps: were they made from numbers in the wrong unit? If the log really is "
        f"of these years, {SETTLE} to '{ISO}'"
    )
    utc = time if is_zoned else forms.to_utc(time, zone)
    return Clock(column, utc, str(not is_zoned).lower(), (), advice, earliest, bare=type_ == "DATE")


def _read(table: Table, column: str, held: Column, form: str, zone: str, now: datetime) -> Clock:
    """The clock of a form that was decided by the file; '' reads nothing."""
    advice = (
        f"it was read as {words(form)}; if that is wrong, {SETTLE}"
        if form
        else f"numbers are {', '.join(forms.BY_SIZE)} since 1970 or dates such as 20220421, between "
        f"{forms.SINCE.year} and {now:%Y-%m-%d}; texts are dates with or without a clock, months in English, "
        f"the zone as UTC, an offset or Europe/Paris; for anything else {SETTLE}"
    )
    if not form:
        return Clock(column, "CAST(NULL AS TIMESTAMP)", "false", (), advice, EARLIEST)
    time = forms.since_1970(held, form) if form in forms.UNITS else forms.written(held, form, zone)
    is_number = form in forms.UNITS or form in forms.DIGITS.values()
    what = "numbers" if is_number else "times"
    notes = () if form == ISO else (f"{table.path.name}: {what} in {column!r} read as {words(form)}",)
    order = form if form in (DAY_FIRST, MONTH_FIRST) else ""
    bare = form == forms.DIGITS[8]
    return Clock(column, time, forms.zoneless(held, form), notes, advice, EARLIEST, order, bare)


def _as_told(
    connection: duckdb.DuckDBPyConnection, column: str, held: Column, wanted: str, zone: str
) -> Clock:
    """The clock of a format that the settings name; times since 1970 are believed."""
    advice = f"they were read as [events] time_format says: {wanted!r}"
    if wanted in forms.UNITS:
        time, zoneless = forms.since_1970(held, wanted), "false"
    elif wanted == "excel":
        days = forms.since_1970(held, "days", offset_days=-25_569)  # since 1899-12-30, local time
        time, zoneless = forms.to_utc(days, zone), "true"
    elif wanted == ISO:
        time, zoneless = forms.written(held, ISO, zone), forms.zoneless(held, ISO)
    else:
        digits = (
            f"coalesce(nullif({held.digits}, ''), {held.text})"  # 20220421.0 is what a gap leaves of a date
        )
        parsed = f"try_strptime({digits}, {sql.text(wanted)})"
        try:
            (type_,) = sql.row(connection, f"SELECT typeof(try_strptime('', {sql.text(wanted)}))")
        except duckdb.Error as error:
            raise ConfigError(
                f"[events] time_format {wanted!r} is no format: {str(error).splitlines()[0]}",
                hint="write it as strptime does, such as '%d-%m-%Y %H:%M'",
            ) from None
        zoneless = str(type_ not in _ZONED).lower()
        time = f"CAST({parsed} AS TIMESTAMP)"
        time = time if type_ in _ZONED else forms.to_utc(time, zone)
    return Clock(column, time, zoneless, (), advice, FOREVER)


def _known(connection: duckdb.DuckDBPyConnection, zone: str) -> str:
    query = f"SELECT count(*) FROM pg_timezone_names() WHERE name = {sql.text(zone)}"
    if sql.row(connection, query) == (0,):
        raise ConfigError(
            f"[events] timezone {zone!r} is not a time zone", hint="such as UTC or Europe/Berlin"
        )
    return zone
