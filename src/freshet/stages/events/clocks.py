"""When events happened: which column holds their times, and how it becomes timestamps in UTC.

How a column is read is decided once per file, by what most of its first values are, never row by row: a value
of another form is an unreadable time. What could be two things is refused, with the setting that settles it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import duckdb

from freshet.core import config
from freshet.core.errors import ConfigError, InputError
from freshet.core.time import DAY
from freshet.stages.events import time_forms
from freshet.stages.events.columns import time_like
from freshet.stages.events.date_forms import SETTLE, Undecided, decide_form, words
from freshet.stages.events.source_tables import Table
from freshet.stages.events.time_forms import DAY_FIRST, ISO, MONTH_FIRST, Column
from freshet.storage import sql

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
        InputError: the column's type can't be a time, or its values are of several time_forms.
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
    form = decide_form(connection, table, column, held, now, "" if wanted == "auto" else wanted, orders)
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
    utc = time if is_zoned else time_forms.to_utc(time, zone)
    return Clock(column, utc, str(not is_zoned).lower(), (), advice, earliest, bare=type_ == "DATE")


def _read(table: Table, column: str, held: Column, form: str, zone: str, now: datetime) -> Clock:
    """The clock of a form that was decided by the file; '' reads nothing."""
    advice = (
        f"it was read as {words(form)}; if that is wrong, {SETTLE}"
        if form
        else f"numbers are {', '.join(time_forms.BY_SIZE)} since 1970 or dates such as 20220421, between "
        f"{time_forms.SINCE.year} and {now:%Y-%m-%d}; texts are dates with or without a clock, months in "
        f"English, the zone as UTC, an offset or Europe/Paris; for anything else {SETTLE}"
    )
    if not form:
        return Clock(column, "CAST(NULL AS TIMESTAMP)", "false", (), advice, EARLIEST)
    is_count = form in time_forms.UNITS
    time = time_forms.since_1970(held, form) if is_count else time_forms.written(held, form, zone)
    is_number = is_count or form in time_forms.DIGITS.values()
    what = "numbers" if is_number else "times"
    notes = () if form == ISO else (f"{table.path.name}: {what} in {column!r} read as {words(form)}",)
    order = form if form in (DAY_FIRST, MONTH_FIRST) else ""
    bare = form == time_forms.DIGITS[8]
    return Clock(column, time, time_forms.zoneless(held, form), notes, advice, EARLIEST, order, bare)


def _as_told(
    connection: duckdb.DuckDBPyConnection, column: str, held: Column, wanted: str, zone: str
) -> Clock:
    """The clock of a format that the settings name; times since 1970 are believed."""
    advice = f"they were read as [events] time_format says: {wanted!r}"
    if wanted in time_forms.UNITS:
        time, zoneless = time_forms.since_1970(held, wanted), "false"
    elif wanted == "excel":
        days = time_forms.since_1970(held, "days", offset_days=-25_569)  # since 1899-12-30, local time
        time, zoneless = time_forms.to_utc(days, zone), "true"
    elif wanted == ISO:
        time, zoneless = time_forms.written(held, ISO, zone), time_forms.zoneless(held, ISO)
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
        time = time if type_ in _ZONED else time_forms.to_utc(time, zone)
    return Clock(column, time, zoneless, (), advice, FOREVER)


def _known(connection: duckdb.DuckDBPyConnection, zone: str) -> str:
    query = f"SELECT count(*) FROM pg_timezone_names() WHERE name = {sql.text(zone)}"
    if sql.row(connection, query) == (0,):
        raise ConfigError(
            f"[events] timezone {zone!r} is not a time zone", hint="such as UTC or Europe/Berlin"
        )
    return zone


_FIRST_ROWS = 1_000


def choose_clock(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    candidates: tuple[str, ...],
    settings: config.Events,
    now: datetime,
    orders: frozenset[str] = frozenset(),
) -> Clock:
    """The clock of the first candidate with times of day, else of the first with dates; its notes say which.

    Args:
        candidates: columns of the table, the most wanted first; at least one.
        now, orders: as for `clock`.

    Raises:
        InputError: no candidate can be a time; of several, what is wrong with the first.
        Undecided: as for `clock`.
    """
    if len(candidates) == 1:
        return _with_column_note(
            table, settings, clock(connection, table, candidates[0], settings, now, orders)
        )
    in_utc = settings.model_copy(update={"timezone": "UTC"})  # a bare date is then midnight
    found, problems = [], []
    for column in candidates:
        try:
            found.append(
                (_rank(connection, table, clock(connection, table, column, in_utc, now, orders)), column)
            )
        except Undecided:
            raise  # it may be the better one, and another file may settle it
        except InputError as error:
            problems.append(error)
    if not found:
        raise problems[0]
    _, column = min(found, key=lambda ranked: ranked[0])
    return _with_column_note(table, settings, clock(connection, table, column, settings, now, orders))


def _rank(connection: duckdb.DuckDBPyConnection, table: Table, read: Clock) -> int:
    """0 for a column whose first rows have times of day, 1 for one of bare dates, 2 for one without times."""
    times, exact = sql.row(
        connection,
        f"""SELECT count(moment), count_if(epoch_us(moment) % {DAY} <> 0)
            FROM (SELECT {read.time} AS moment FROM ({table.query}) LIMIT {_FIRST_ROWS})
            WHERE moment >= TIMESTAMP '{read.earliest}'""",
    )
    return 0 if exact else 1 if times else 2


def _with_column_note(table: Table, settings: config.Events, read: Clock) -> Clock:
    """The clock with a note of the column, if it isn't named as configured or another may be better."""
    others = [repr(column) for column in time_like(table) if column != read.column]
    notes = list(read.notes)
    if read.column.lower() != settings.columns.time.lower():
        rather = f", not {', '.join(others)}" if others else ""
        notes.insert(0, f"{table.path.name}: column {read.column!r} read as time{rather}")
    elif read.bare and others:
        notes.append(
            f"{table.path.name}: {read.column!r} has no time of day; [events.columns] time may be "
            f"{' or '.join(others)}"
        )
    return replace(read, notes=tuple(notes))
