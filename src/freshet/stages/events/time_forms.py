"""The forms in which files write times as text or numbers, as SQL: what matches, and what moment it is.

A text matches one form at most, save for dates such as 03/04/2022, which are day-first or month-first. A
number is a time by its size: between `SINCE` and now, the ranges of units and of dates in digits are apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from freshet.core.types.ids import SHORTENED
from freshet.storage import sql

SINCE = datetime(1995, 1, 1, tzinfo=UTC)
"""A number is taken for a time only from here on: in a wrong unit most numbers are of the 1970s and 1980s."""

UNITS = {
    "days": 86_400e6,
    "hours": 3_600e6,
    "minutes": 60e6,
    "seconds": 1e6,
    "milliseconds": 1e3,
    "microseconds": 1.0,
    "nanoseconds": 1e-3,
}
"""Microseconds in a unit of time since 1970."""
BY_SIZE = ("seconds", "milliseconds", "microseconds", "nanoseconds")
DIGITS = {8: "yyyymmdd", 10: "yyyymmddHH", 12: "yyyymmddHHMM", 14: "yyyymmddHHMMSS", 17: "yyyymmddHHMMSSmmm"}
"""Dates written as a whole number: digits -> form."""
DAY_FIRST, MONTH_FIRST, EITHER = "day-first", "month-first", "day-first or month-first"
ISO, YEAR_DAY, OTHER_NUMBER = "iso", "year-day-month", "number"
SHORT_NUMBER = "number that has lost its last digits"
"""Such as 1.69109E+12: milliseconds as a spreadsheet saves them, hours apart."""

_MONTHS = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    "oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
)
_BLANK = r"\s\x{a0}\x{202f}"  # with those that break no line, as browsers write them before PM
_DAYS = rf"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?[{_BLANK}]+)?"
# The word ends after am and pm, or America would be in the morning.
_CLOCK = rf"(\d{{1,2}}):(\d{{2}})(?::(\d{{2}})(?:[.,](\d{{1,9}}))?)?(?:[{_BLANK}]*([ap])\.?m(?:\.|\b))?"
# An offset, maybe after UTC or before a name that repeats it; UTC itself; or the name of a zone. EST or CST
# are no zones here: several countries use such abbreviations.
_ZONE = (
    rf"[{_BLANK}]*(?:(?:UTC|GMT)?([+-]\d{{1,2}}(?::?\d{{2}})?)(?:[{_BLANK}]+[A-Z]{{3,4}})?|(Z|UTC|GMT)"
    rf"|\[?([a-z]+(?:/[a-z_+0-9-]+)+)\]?)?(?:\[[^\]]*\])?(?:[{_BLANK}]*\([^)]*\))?"
)
_AFTER = rf"(?:(?:,?[{_BLANK}]+(?:at[{_BLANK}]+)?|T|:){_CLOCK}{_ZONE})?"
_CLOCK_PARTS = ("hour", "minute", "second", "fraction", "half", "offset", "utc", "zone")

# Name -> (pattern, its groups in order). Upper and lower case are the same.
_SHAPES: dict[str, tuple[str, tuple[str, ...]]] = {
    ISO: (rf"(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){_AFTER}", ("y", "m", "d", *_CLOCK_PARTS)),
    "yyyymmdd with a clock": (
        rf"(\d{{4}})(\d{{2}})(\d{{2}})[T{_BLANK}](\d{{2}}):?(\d{{2}})(?::?(\d{{2}})(?:[.,](\d{{1,9}}))?)?(){_ZONE}",
        ("y", "m", "d", *_CLOCK_PARTS),
    ),
    "day month year": (
        rf"{_DAYS}(\d{{1,2}})[-/{_BLANK}]({_MONTHS})\.?,?[-/{_BLANK}](\d{{4}}){_AFTER}",
        ("d", "name", "y", *_CLOCK_PARTS),
    ),
    "month day, year": (
        rf"{_DAYS}({_MONTHS})\.?[{_BLANK}]+(\d{{1,2}}),?[{_BLANK}]+(\d{{4}}){_AFTER}",
        ("name", "d", "y", *_CLOCK_PARTS),
    ),
    "month day clock year": (
        rf"{_DAYS}({_MONTHS})[{_BLANK}]+(\d{{1,2}})[{_BLANK}]+{_CLOCK}{_ZONE}[{_BLANK}]+(\d{{4}})",
        ("name", "d", *_CLOCK_PARTS, "y"),
    ),
    EITHER: (rf"(\d{{1,2}})[-/.](\d{{1,2}})[-/.](\d{{4}}){_AFTER}", ("a", "b", "y", *_CLOCK_PARTS)),
}
_MONTH, _DAY, _SIGN = "(0?[1-9]|1[0-2])", r"(1[3-9]|2\d|3[01])", "[-/.]"  # a day that is no month
_DAY_MONTH, _MONTH_DAY = (rf"{a}{_SIGN}{b}{_SIGN}.*" for a, b in ((_DAY, _MONTH), (_MONTH, _DAY)))
_TWO_MONTHS, _YEAR_DAY = rf"{_MONTH}{_SIGN}{_MONTH}{_SIGN}.*", rf".{{4}}{_SIGN}{_DAY}{_SIGN}{_MONTH}(\D.*)?"
_NUMBER = r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?"
# The most frequent ISO texts, which the database reads several times faster by itself.
_PLAIN = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?"
_PLAIN_ZONED = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:?\d{2})"


@dataclass(frozen=True, slots=True)
class Column:
    """A column that holds times, as SQL.

    Attributes:
        text: its values as trimmed text.
        is_text: whether the file itself holds text.
    """

    text: str
    is_text: bool

    @property
    def number(self) -> str:
        """The value as DOUBLE, NULL where it is none."""
        cast = f"TRY_CAST({self.text} AS DOUBLE)"
        number = f"CASE WHEN regexp_full_match({self.text}, {sql.text(_NUMBER)}, 'i') THEN {cast} END"
        return number if self.is_text else f"CASE WHEN isfinite({cast}) THEN {cast} END"

    @property
    def digits(self) -> str:
        """The digits of a whole number, '' for anything else."""
        return rf"regexp_extract({self.text}, '^(\d+)(?:\.0*)?$', 1)"


def form_of(column: Column, now: datetime) -> str:
    """SQL: the name of a value's form; NULL for what is no time.

    A number that is no time by its size is a `number`. Dates that are day-first or month-first are reported
    as one of them only where the date itself proves it.
    """
    number, until = column.number, now.timestamp() + 86_400
    cases = [
        f"WHEN {number} BETWEEN {SINCE.timestamp() * 1e6 / UNITS[unit]!r} AND {until * 1e6 / UNITS[unit]!r} "
        f"THEN {sql.text(unit)}"
        for unit in BY_SIZE
    ]
    last = sql.text(datetime.fromtimestamp(until, UTC).replace(tzinfo=None).isoformat(sep=" "))
    written = f"{_of_digits(column)} BETWEEN TIMESTAMP '{SINCE:%Y-%m-%d}' AND TIMESTAMP {last}"
    cases += [
        f"WHEN length({column.digits}) = {length} AND {written} THEN {sql.text(name)}"
        for length, name in DIGITS.items()
    ]
    if not column.is_text:
        numbers = f"CASE {' '.join(cases)} ELSE {sql.text(OTHER_NUMBER)} END"
        return f"CASE WHEN {number} IS NOT NULL THEN {numbers} END"
    short = _matches(column, rf"{SHORTENED}(0[89]|[1-9]\d)")
    cases = [f"WHEN {short} THEN {sql.text(SHORT_NUMBER)}", *cases]
    numbers = f"CASE {' '.join(cases)} ELSE {sql.text(OTHER_NUMBER)} END"
    return f"""CASE {_text_cases(column)} WHEN {number} IS NOT NULL THEN {numbers} END"""


def _text_cases(column: Column) -> str:
    cases = []
    for name, (pattern, _) in _SHAPES.items():
        form = sql.text(name)
        if name == ISO:
            form = f"CASE WHEN {_matches(column, _YEAR_DAY)} THEN {sql.text(YEAR_DAY)} ELSE {form} END"
        if name == EITHER:
            form = f"""CASE WHEN {_matches(column, _DAY_MONTH)} THEN {sql.text(DAY_FIRST)}
                       WHEN {_matches(column, _MONTH_DAY)} THEN {sql.text(MONTH_FIRST)}
                       WHEN {_matches(column, _TWO_MONTHS)} THEN {form} END"""
        cases.append(f"WHEN {_matches(column, pattern)} THEN {form}")
    return " ".join(cases)


def _matches(column: Column, pattern: str, case: Literal["i", "c"] = "i") -> str:
    return f"regexp_full_match({column.text}, {sql.text(pattern)}, '{case}')"


def since_1970(column: Column, unit: str, offset_days: int = 0) -> str:
    """SQL: the moment so many units after 1970 (or some days later); NULL for what is no number."""
    x = f"({column.number} * {UNITS[unit]!r} + {offset_days * UNITS['days']!r})"
    # Clipped far outside what is accepted, so that an absurd number is "in the future", not an overflow.
    moment = f"make_timestamp(CAST(least(greatest(round({x}), -1e15), 2.5e17) AS BIGINT))"
    return f"CASE WHEN {column.number} IS NOT NULL THEN {moment} END"


def written(column: Column, name: str, zone: str) -> str:
    """SQL: the moment of a value in one of the other forms, with `zone` for those that carry none."""
    if name in DIGITS.values():
        length = next(length for length, form in DIGITS.items() if form == name)
        return f"CASE WHEN length({column.digits}) = {length} THEN {to_utc(_of_digits(column), zone)} END"
    shape = EITHER if name in (DAY_FIRST, MONTH_FIRST) else name
    part = _parts(column, shape)
    slow = _moment(part, _date(part, name, _SHAPES[shape][1]), zone)
    if name != ISO:
        return slow
    return f"""CASE WHEN {_matches(column, _PLAIN, "c")}
               THEN {to_utc(f"TRY_CAST({column.text} AS TIMESTAMP)", zone)}
               WHEN {_matches(column, _PLAIN_ZONED, "c")}
               THEN CAST(TRY_CAST({column.text} AS TIMESTAMPTZ) AS TIMESTAMP) ELSE {slow} END"""


def zoneless(column: Column, name: str) -> str:
    """SQL boolean: a value of this form says no zone, given that it can be read."""
    if name in DIGITS.values():
        return "true"
    if name in UNITS:
        return "false"
    if name in (DAY_FIRST, MONTH_FIRST):
        name = EITHER
    part = _parts(column, name)
    slow = f"concat({part}.offset, {part}.utc, {part}.zone) = ''"
    if name != ISO:
        return f"({slow})"
    return f"""CASE WHEN {_matches(column, _PLAIN, "c")} THEN true
               WHEN {_matches(column, _PLAIN_ZONED, "c")} THEN false ELSE {slow} END"""


def to_utc(time: str, zone: str) -> str:
    """SQL: a local time of a zone as UTC."""
    return time if zone == "UTC" else f"CAST(timezone({sql.text(zone)}, {time}) AS TIMESTAMP)"


def _parts(column: Column, shape: str) -> str:
    pattern, groups = _SHAPES[shape]
    return f"regexp_extract({column.text}, {sql.text(f'^(?:{pattern})$')}, {sql.texts(list(groups))}, 'i')"


def _of_digits(column: Column) -> str:
    pieces = [f"substr(rpad({column.digits}, 17, '0'), {start}, {length})" for start, length in
              ((1, 4), (5, 2), (7, 2), (9, 2), (11, 2), (13, 2), (15, 3))]  # fmt: skip
    signs = ["'-'", "'-'", "' '", "':'", "':'", "'.'"]
    text = ", ".join(f"{piece}, {sign}" for piece, sign in zip(pieces, [*signs, "''"], strict=True))
    return f"TRY_CAST(concat({text}) AS TIMESTAMP)"


def _date(part: str, name: str, groups: tuple[str, ...]) -> str:
    if name == DAY_FIRST:
        return f"concat({part}.y, '-', {part}.b, '-', {part}.a)"
    if name == MONTH_FIRST:
        return f"concat({part}.y, '-', {part}.a, '-', {part}.b)"
    month = f"{part}.m"
    if "name" in groups:
        months = "strpos('janfebmaraprmayjunjulaugsepoctnovdec', lower(left(" + f"{part}.name, 3)))"
        month = f"({months} + 2) // 3"
    return f"concat({part}.y, '-', {month}, '-', {part}.d)"


def _moment(part: str, date: str, zone: str) -> str:
    """SQL: date and clock as UTC; NULL where there is no such moment."""
    hour, half = f"TRY_CAST({part}.hour AS INTEGER)", f"lower({part}.half)"
    hours = f"""CASE WHEN {half} = '' THEN {part}.hour
                WHEN {hour} BETWEEN 1 AND 12
                THEN CAST({hour} % 12 + if({half} = 'p', 12, 0) AS VARCHAR) END"""
    second = f"if({part}.second = '', '00', {part}.second)"
    clock = f"""CASE WHEN {part}.hour = '' THEN '00:00' WHEN {hour} > 23 THEN NULL
                ELSE concat_ws(':', {hours}, {part}.minute, {second} || '.' || {part}.fraction || '0') END"""
    local = f"{date} || ' ' || {clock}"
    sign = f"if({part}.offset[1] = '-', -1, 1)"
    shift = f"lpad(replace({part}.offset[2:], ':', ''), if(length({part}.offset) > 3, 4, 2), '0')"
    minutes = f"""(TRY_CAST({shift}[1:2] AS INTEGER) * 60
                  + coalesce(TRY_CAST(nullif({shift}[3:4], '') AS INTEGER), 0))"""
    shifted = f"""CASE WHEN {minutes} <= 840 THEN
                  TRY_CAST({local} AS TIMESTAMP) - to_minutes({sign} * {minutes}) END"""
    return f"""CASE WHEN {part}.offset <> '' THEN {shifted}
        WHEN {part}.utc <> '' THEN TRY_CAST({local} AS TIMESTAMP)
        WHEN {part}.zone <> '' THEN CAST(TRY_CAST({local} || ' ' || {part}.zone AS TIMESTAMPTZ) AS TIMESTAMP)
        ELSE {to_utc(f"TRY_CAST({local} AS TIMESTAMP)", zone)} END"""
