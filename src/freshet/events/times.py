"""When an event happened: a source's time column as UTC microseconds, whatever it holds.

How a column is read is decided once per file, by what most of its first values are, never row by row: a value
of another form is an unreadable time. What could be two things is refused, with the setting that settles it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from freshet import config
from freshet.errors import ConfigError, InputError
from freshet.events import forms, sql
from freshet.events.forms import DAY_FIRST, EITHER, ISO, MONTH_FIRST, OTHER_NUMBER, Column
from freshet.events.reading import Table

EARLIEST = datetime(1980, 1, 1)
"""Before this no log was kept: such a time is a number in the wrong unit, or stands for a missing one."""

FOREVER = datetime(1970, 1, 1)
"""The earliest time a log can hold."""

_SAMPLE = 20_000
_MIXED = 0.05  # of a file's times may be of another form than the rest, which quarantines them
_ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ", "TIMESTAMPTZ_NS")
_ZONELESS = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_NUMBERS = (*_INTEGERS, *(f"U{name}" for name in _INTEGERS), "FLOAT", "DOUBLE", "DECIMAL")
_SETTLE = "set [events] time_format in freshet.toml"


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


class Undecided(InputError):
    """A file's dates can be day-first or month-first, and nothing that was read so far tells."""


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
    earliest = FOREVER if believed else EARLIEST
    if type_ in (*_ZONED, *_ZONELESS):
        time = f"CAST({name} AS TIMESTAMP)"
        is_zoned = type_ in _ZONED
        advice = (
            f"it holds timestamps: if it was made from numbers, it was in the wrong unit; {_SETTLE} "
            f"to '{ISO}' if the log really is that old"
        )
        utc = time if is_zoned else forms.to_utc(time, zone)
        return Clock(column, utc, str(not is_zoned).lower(), (), advice, earliest, bare=type_ == "DATE")
    if type_ not in (*_NUMBERS, "VARCHAR", '"NULL"'):
        raise InputError(
            f"{table.path}: column {column!r} is {table.columns[column]}, which can't be a time",
            hint="set [events.columns] time to a column of timestamps, text or numbers since 1970",
        )
    held = Column(f"trim(CAST({name} AS VARCHAR))", type_ == "VARCHAR")
    if believed:
        return _as_told(connection, column, held, wanted, zone)
    form = _decided(connection, table, column, held, now, "" if wanted == "auto" else wanted, orders)
    return _read(table, column, held, form, zone, now)


def _read(table: Table, column: str, held: Column, form: str, zone: str, now: datetime) -> Clock:
    """The clock of a form that was decided by the file; '' reads nothing."""
    advice = (
        f"it was read as {_words(form)}; if that is wrong, {_SETTLE}"
        if form
        else f"numbers are {', '.join(forms.BY_SIZE)} since 1970 or dates such as 20220421, between "
        f"{forms.SINCE.year} and {now:%Y-%m-%d}; texts are dates with or without a clock, months in English, "
        f"the zone as UTC, an offset or Europe/Paris; for anything else {_SETTLE}"
    )
    if not form:
        return Clock(column, "CAST(NULL AS TIMESTAMP)", "false", (), advice, EARLIEST)
    time = forms.since_1970(held, form) if form in forms.UNITS else forms.written(held, form, zone)
    is_number = form in forms.UNITS or form in forms.DIGITS.values()
    what = "numbers" if is_number else "times"
    notes = () if form == ISO else (f"{table.path.name}: {what} in {column!r} read as {_words(form)}",)
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
        parsed = f"try_strptime({held.text}, {sql.text(wanted)})"
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


def _decided(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    column: str,
    held: Column,
    now: datetime,
    wanted: str,
    orders: frozenset[str],
) -> str:
    """The form of a column by its first values, '' where nothing is a time."""
    counts = _counts(connection, table, held, now, _SAMPLE)
    if EITHER in counts and not wanted and not {DAY_FIRST, MONTH_FIRST} & counts.keys():
        counts = _counts(connection, table, held, now, None)  # one day above the 12th settles it
    numbers = counts.pop(OTHER_NUMBER, (0, ""))
    slashed = {order: counts.pop(order) for order in (DAY_FIRST, MONTH_FIRST, EITHER) if order in counts}
    if slashed:
        order = wanted or _order(table, column, slashed, orders)
        counts[order] = (sum(rows for rows, _ in slashed.values()), next(iter(slashed.values()))[1])
    if not counts:
        return ""
    form = max(counts, key=lambda name: counts[name][0])
    others = {name: found for name, found in counts.items() if name != form}
    if form in forms.DIGITS.values() and numbers[0]:
        others["numbers that are no such date"] = numbers
    for other, (rows, example) in others.items():
        if rows > _MIXED * sum(found[0] for found in counts.values()):
            raise _mixed(table, column, {form: counts[form][1], other: example})
    return form if form != forms.YEAR_DAY else ""


def _order(table: Table, column: str, slashed: dict[str, tuple[int, str]], orders: frozenset[str]) -> str:
    """Whether dates such as 03/04/2022 are day-first or month-first."""
    proofs = {order: found for order, found in slashed.items() if order != EITHER}
    if len(proofs) == 2 and min(n for n, _ in proofs.values()) > _MIXED * sum(n for n, _ in proofs.values()):
        raise _mixed(table, column, {order: example for order, (_, example) in proofs.items()})
    if proofs:
        return max(proofs, key=lambda order: proofs[order][0])
    if len(orders) == 1:
        return next(iter(orders))
    raise Undecided(
        f"{table.path}: dates in {column!r} such as {slashed[EITHER][1]!r} can be day-first or month-first; "
        + ("the log has files of both" if orders else "none has a day after the 12th"),
        hint=f"{_SETTLE} to {DAY_FIRST!r} or {MONTH_FIRST!r}",
    )


def _counts(
    connection: duckdb.DuckDBPyConnection, table: Table, held: Column, now: datetime, limit: int | None
) -> dict[str, tuple[int, str]]:
    """Form -> (values of it, the smallest one) among the first values of a column."""
    first = f"LIMIT {limit}" if limit else ""
    text = sql.name("freshet text")
    found = connection.sql(
        f"""SELECT form, count(*), min({text}) FROM (
                SELECT {text}, {forms.form_of(Column(text, held.is_text), now)} AS form FROM (
                    SELECT {held.text} AS {text} FROM ({table.query}) WHERE {held.text} <> '' {first}))
            WHERE form IS NOT NULL GROUP BY form ORDER BY count(*) DESC, form"""
    ).fetchall()
    return {str(form): (int(rows), str(example)) for form, rows, example in found}


def _mixed(table: Table, column: str, examples: dict[str, str]) -> InputError:
    listed = " and ".join(f"{_words(form)} ({example!r})" for form, example in examples.items())
    return InputError(
        f"{table.path}: column {column!r} mixes {listed}",
        hint=f"write all times of a file in one form, or {_SETTLE}: what is of another form is quarantined",
    )


def _known(connection: duckdb.DuckDBPyConnection, zone: str) -> str:
    query = f"SELECT count(*) FROM pg_timezone_names() WHERE name = {sql.text(zone)}"
    if sql.row(connection, query) == (0,):
        raise ConfigError(
            f"[events] timezone {zone!r} is not a time zone", hint="such as UTC or Europe/Berlin"
        )
    return zone


def _words(form: str) -> str:
    """A form for people."""
    if form in forms.UNITS:
        return f"{form} since 1970"
    if form == DAY_FIRST:
        return "day-first dates (dd/mm/yyyy)"
    return "month-first dates (mm/dd/yyyy)" if form == MONTH_FIRST else form
