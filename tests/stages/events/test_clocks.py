"""Times as other tools write them: read as the moments they are, or refused in words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from freshet.core.config import Events
from freshet.core.errors import ConfigError, InputError
from freshet.stages.events import EventLog, ImportReport

from .sources import events, quarantined
from .worlds import DAYS, NOW, One, csv, log, parquet

pytestmark = pytest.mark.slow

WHOLE, WORLD = log(), log(days=6, start=datetime(2022, 3, 10, tzinfo=UTC))  # the 13th is no month
PARIS = timezone(timedelta(hours=2))
BOGOTA = timezone(timedelta(hours=-5))


def take(root: Path, source: Path, **settings: Any) -> ImportReport:
    return EventLog(root).import_events(source, Events(**settings), now=NOW)


def moments(root: Path) -> list[datetime]:
    return sorted(time for (time,) in events(EventLog(root).snapshot(), '"time"'))


def expected(rows: list[One], step: timedelta = timedelta(seconds=1)) -> list[datetime]:
    """Times in UTC without zone, cut to a step."""
    start = datetime(2000, 1, 1)
    times = [one.time.astimezone(UTC).replace(tzinfo=None) for one in rows]
    return sorted(start + (time - start) // step * step for time in times)


SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3600, 86_400))


def us(time: datetime) -> str:
    """As in MIND: 11/15/2019 8:55:22 AM."""
    return f"{time.month}/{time.day}/{time.year} {(time.hour - 1) % 12 + 1}:{time:%M:%S %p}"


NUMBERS: dict[str, tuple[Callable[[datetime], Any], timedelta, str]] = {
    "seconds": (lambda t: int(t.timestamp()), SECOND, "seconds since 1970"),
    "floats": (lambda t: f"{t.timestamp():.3f}", SECOND, "seconds since 1970"),
    "exponents": (lambda t: f"{t.timestamp():.9E}", SECOND, "seconds since 1970"),
    "milliseconds": (lambda t: int(t.timestamp()) * 1000, SECOND, "milliseconds since 1970"),
    "microseconds": (lambda t: int(t.timestamp()) * 10**6, SECOND, "microseconds since 1970"),
    "nanoseconds": (lambda t: int(t.timestamp()) * 10**9, SECOND, "nanoseconds since 1970"),
    "spaces": (lambda t: f"  {int(t.timestamp())} ", SECOND, "seconds since 1970"),
    "yyyymmdd": (lambda t: f"{t:%Y%m%d}", DAY, "yyyymmdd"),
    "yyyymmdd as a float": (lambda t: f"{t:%Y%m%d}.0", DAY, "yyyymmdd"),
    "yyyymmddHH": (lambda t: f"{t:%Y%m%d%H}", HOUR, "yyyymmddHH"),
    "yyyymmddHHMM": (lambda t: f"{t:%Y%m%d%H%M}", MINUTE, "yyyymmddHHMM"),
    "yyyymmddHHMMSS": (lambda t: f"{t:%Y%m%d%H%M%S}", SECOND, "yyyymmddHHMMSS"),
    "yyyymmddHHMMSSmmm": (lambda t: f"{t:%Y%m%d%H%M%S}000", SECOND, "yyyymmddHHMMSSmmm"),
}


@pytest.mark.parametrize("form", NUMBERS)
def test_numbers_are_read_by_their_size_and_as_dates(tmp_path: Path, form: str) -> None:
    write, step, words = NUMBERS[form]
    report = take(tmp_path / "w", csv(tmp_path / "log.csv", WORLD, write))
    assert report.quarantined == {}
    assert set(moments(tmp_path / "w")) == set(expected(WORLD, step))
    assert f"log.csv: numbers in 'timestamp' read as {words}" in report.notes


def test_lower_case_is_the_same(tmp_path: Path) -> None:
    take(tmp_path / "w", csv(tmp_path / "log.csv", WORLD, lambda t: f"{t:%Y-%m-%dt%H:%M:%S}z"))
    assert set(moments(tmp_path / "w")) == set(expected(WORLD))


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.float64(), pa.decimal128(20, 3), pa.uint64(), pa.string(), pa.large_string()]
)
def test_a_date_as_a_number_is_one_in_every_type(tmp_path: Path, kind: pa.DataType) -> None:
    days = pa.array([int(f"{one.time:%Y%m%d}") for one in WORLD])
    times = (
        pa.array([Decimal(day.as_py()) for day in days], kind)
        if pa.types.is_decimal(kind)
        else days.cast(kind)
    )
    report = take(tmp_path / "w", parquet(tmp_path / "log.parquet", WORLD, times))
    assert report.quarantined == {}
    assert set(moments(tmp_path / "w")) == set(expected(WORLD, DAY))


TEXTS: dict[str, tuple[Callable[[datetime], str], timedelta]] = {
    "ISO with T and Z": (lambda t: f"{t:%Y-%m-%dT%H:%M:%S}Z", SECOND),
    "ISO with a blank and UTC": (lambda t: f"{t:%Y-%m-%d %H:%M:%S} UTC", SECOND),
    "GMT": (lambda t: f"{t:%Y-%m-%d %H:%M:%S} GMT", SECOND),
    "+0000": (lambda t: f"{t:%Y-%m-%d %H:%M:%S}+0000", SECOND),
    "+02": (lambda t: f"{t.astimezone(PARIS):%Y-%m-%d %H:%M:%S}+02", SECOND),
    "blank +02:00": (lambda t: f"{t.astimezone(PARIS):%Y-%m-%d %H:%M:%S} +02:00", SECOND),
    "offset and zone": (lambda t: f"{t.astimezone(PARIS):%Y-%m-%dT%H:%M:%S}+02:00[Europe/Paris]", SECOND),
    "Trino": (lambda t: f"{t.astimezone(BOGOTA):%Y-%m-%d %H:%M:%S.000} America/Bogota", SECOND),
    "Trino, 12 hours": (lambda t: f"{t.astimezone(BOGOTA):%Y-%m-%d %I:%M:%S %p} America/Bogota", SECOND),
    "a.m.": (lambda t: f"{t:%Y-%m-%d %I:%M:%S }" + ("p.m." if t.hour > 11 else "a.m."), SECOND),
    "Go": (lambda t: f"{t:%Y-%m-%d %H:%M:%S.000000000} +0000 UTC", SECOND),
    "nine digits": (lambda t: f"{t:%Y-%m-%dT%H:%M:%S}.000000001Z", SECOND),
    "comma": (lambda t: f"{t:%Y-%m-%d %H:%M:%S},000", SECOND),
    "ISO minutes": (lambda t: f"{t:%Y-%m-%d %H:%M}", MINUTE),
    "ISO 12 hours": (lambda t: f"{t:%Y-%m-%d %I:%M:%S %p}", SECOND),
    "slashes, year first": (lambda t: f"{t:%Y/%m/%d %H:%M:%S}", SECOND),
    "ISO dates": (lambda t: f"{t:%Y-%m-%d}", DAY),
    "basic ISO": (lambda t: f"{t:%Y%m%dT%H%M%S}Z", SECOND),
    "dd-mm-yyyy HH:MM": (lambda t: f"{t:%d-%m-%Y %H:%M}", MINUTE),
    "dd.mm.yyyy": (lambda t: f"{t:%d.%m.%Y}", DAY),
    "browser": (lambda t: f"{t:%m/%d/%Y, %I:%M:%S}\u202f{t:%p}", SECOND),
    "tab and hard blank": (lambda t: f"\t{t:%d/%m/%Y}\u00a0{t:%H:%M} ", MINUTE),
    "dd/mm/yyyy, clock": (lambda t: f"{t:%d/%m/%Y, %H:%M:%S}", SECOND),
    "MIND": (us, SECOND),
    "mm/dd/yyyy": (lambda t: f"{t:%m/%d/%Y}", DAY),
    "Twitter": (lambda t: f"{t:%a %b %d %H:%M:%S} +0000 {t:%Y}", SECOND),
    "Apache": (lambda t: f"{t.astimezone(PARIS):%d/%b/%Y:%H:%M:%S} +0200", SECOND),
    "RFC 2822": (lambda t: f"{t.astimezone(PARIS):%a, %d %b %Y %H:%M:%S} +0200", SECOND),
    "HTTP": (lambda t: f"{t:%a, %d %b %Y %H:%M:%S} GMT", SECOND),
    "JavaScript": (
        lambda t: f"{t.astimezone(PARIS):%a %b %d %Y %H:%M:%S} GMT+0200 (Central European)",
        SECOND,
    ),
    "Java": (lambda t: f"{t:%a %b %d %H:%M:%S} UTC {t:%Y}", SECOND),
    "ctime": (lambda t: f"{t:%a %b %d %H:%M:%S %Y}", SECOND),
    "English, 12 hours": (lambda t: f"{t:%b} {t.day}, {t:%Y %I:%M:%S %p}", SECOND),
    "month in full": (lambda t: f"{t:%B} {t.day}, {t:%Y}", DAY),
    "Oracle": (lambda t: f"{t:%d-%b-%Y %H:%M:%S}".upper(), SECOND),
}


@pytest.mark.parametrize("form", TEXTS)
def test_texts_are_read_as_what_they_say(tmp_path: Path, form: str) -> None:
    write, step = TEXTS[form]
    report = take(tmp_path / "w", csv(tmp_path / "log.csv", WORLD, write))
    assert report.quarantined == {}
    assert set(moments(tmp_path / "w")) == set(expected(WORLD, step))


REFUSED: dict[str, Callable[[datetime], Any]] = {
    "minutes": lambda t: int(t.timestamp() / 60),
    "days": lambda t: int(t.timestamp() / 86_400),
    "excel": lambda t: round(t.timestamp() / 86_400 + 25_569, 5),
    "years": lambda t: t.year,
    "month and day": lambda t: f"{t.month}{t:%d}",
    "seconds of the day": lambda t: t.hour * 3600 + t.minute,
    "seconds from the start": lambda t: int((t - WORLD[0].time).total_seconds()),
    "ticks of .NET": lambda t: int((t.timestamp() + 62_135_596_800) * 10**7),
    "milliseconds read as microseconds": lambda t: f"1970-01-20T{t:%H:%M:%S}Z",
    "the epoch": lambda _: "1970-01-01 00:00:00",
    "thousands": lambda t: f"{int(t.timestamp()):,}",
    "underscores": lambda t: f"{int(t.timestamp()):_}",
    "decimal comma": lambda t: f"{int(t.timestamp())},5",
    "two digits of year": lambda t: f"{t:%m/%d/%y}",
    "EST": lambda t: f"{t:%Y-%m-%d %H:%M:%S} EST",
    "CST in the middle": lambda t: f"{t:%a %b %d %H:%M:%S} CST {t:%Y}",
    "no such zone": lambda t: f"{t:%Y-%m-%d %H:%M:%S} Mars/Crater",
    "French": lambda t: f"{t.day} avr. {t:%Y}",
    "German": lambda t: f"{t.day}. Mai {t:%Y}",
    "clock alone": lambda t: f"{t:%H:%M:%S}",
    "year, day, month": lambda t: f"{t:%Y}-{t.day % 9 + 20}-{t:%m}",
    "infinity": lambda _: "infinity",
    "13 o'clock PM": lambda t: f"{t:%Y-%m-%d} 13:00 PM",
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_is_no_time_is_refused_with_a_row_and_what_to_do(tmp_path: Path, form: str) -> None:
    source = csv(tmp_path / "log.csv", WORLD, REFUSED[form])
    with pytest.raises(
        InputError, match=r"log.csv: none of its 120 rows can be used .* such as row 1: "
    ) as error:
        take(tmp_path / "w", source)
    assert "[events] time_format" in error.value.hint
    assert EventLog(tmp_path / "w").snapshot().rows == 0
    assert len(quarantined(tmp_path / "w")) == len(WORLD)


@pytest.mark.parametrize(
    ("time_format", "write", "step"),
    [
        ("minutes", lambda t: int(t.timestamp() // 60), MINUTE),
        ("hours", lambda t: int(t.timestamp() // 3600), HOUR),
        ("days", lambda t: int(t.timestamp() // 86_400), DAY),
        ("excel", lambda t: t.timestamp() / 86_400 + 25_569, SECOND),
        ("%m/%d/%y", lambda t: f"{t:%m/%d/%y}", DAY),
        ("%Y-%d-%m", lambda t: f"{t:%Y-%d-%m}", DAY),
        ("%Y-%m-%dT%H:%M:%S%z", lambda t: f"{t.astimezone(PARIS):%Y-%m-%dT%H:%M:%S}+0200", SECOND),
        ("%y%m%d%H", lambda t: f"{t:%y%m%d%H}", HOUR),
        ("day-first", lambda t: f"{t:%d/%m/%Y}", DAY),
        ("month-first", us, SECOND),
        ("iso", lambda t: f"{t:%Y-%m-%dT%H:%M:%S}", SECOND),
    ],
)
def test_a_time_format_says_what_no_file_can(
    tmp_path: Path, time_format: str, write: Callable[[datetime], Any], step: timedelta
) -> None:
    report = take(tmp_path / "w", csv(tmp_path / "log.csv", WORLD, write), time_format=time_format)
    assert report.quarantined == {}
    found = {time + timedelta(milliseconds=100) for time in moments(tmp_path / "w")}  # days are rounded
    cut = datetime(2000, 1, 1)
    assert {cut + (time - cut) // step * step for time in found} == set(expected(WORLD, step))


def test_a_log_of_1970_is_refused_unless_it_is_asked_for(tmp_path: Path) -> None:
    early = log(days=3, start=datetime(1970, 2, 1, tzinfo=UTC))
    for name, source in (
        ("typed", parquet(tmp_path / "a.parquet", early, pa.array([one.time for one in early]))),
        ("text", csv(tmp_path / "a.csv", early)),
        ("number", csv(tmp_path / "b.csv", early, lambda t: int(t.timestamp()))),
    ):
        with pytest.raises(InputError, match="none of its 60 rows can be used") as error:
            take(tmp_path / "w", source)
        assert "time_format" in error.value.hint, name
        believed = "seconds" if name == "number" else "iso"
        assert take(tmp_path / name, source, time_format=believed).added == len(set(early))


def test_a_time_format_that_the_file_contradicts_is_refused(tmp_path: Path) -> None:
    source = csv(tmp_path / "log.csv", WORLD, lambda t: f"{t:%m/%d/%Y}")
    with pytest.raises(InputError, match="holds '03/13/2022', which can't be one of the day-first dates"):
        take(tmp_path / "w", source, time_format="day-first")


def test_a_whole_number_with_a_point_fits_a_time_format(tmp_path: Path) -> None:
    days = pa.array([float(f"{one.time:%d%m%Y}") for one in WORLD if one.time.day > 9])
    source = parquet(tmp_path / "log.parquet", [one for one in WORLD if one.time.day > 9], days)
    assert take(tmp_path / "w", source, time_format="%d%m%Y").quarantined == {}


def test_a_time_format_must_be_one(tmp_path: Path) -> None:
    source = csv(tmp_path / "log.csv", WORLD[:1])
    with pytest.raises(ConfigError, match="time_format '%Q' is no format") as error:
        take(tmp_path / "w", source, time_format="%Q")
    assert "strptime" in error.value.hint
    with pytest.raises(ValueError, match="time_format"):
        Events(time_format="whatever")


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Paris"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_every_timestamp_of_parquet_is_one(tmp_path: Path, unit: str, zone: str | None) -> None:
    times = pa.array([one.time for one in WORLD], pa.timestamp("us", "UTC")).cast(pa.timestamp(unit, zone))
    report = take(tmp_path / "w", parquet(tmp_path / "log.parquet", WORLD, times))
    assert report.quarantined == {}
    assert set(moments(tmp_path / "w")) == set(expected(WORLD))


def test_other_columns_of_parquet_that_are_times(tmp_path: Path) -> None:
    naive = pa.array([one.time.replace(tzinfo=None) for one in WORLD])
    for name, times, step, options in (
        ("int96", naive, SECOND, {"use_deprecated_int96_timestamps": True}),
        ("date32", naive.cast(pa.date32()), DAY, {}),
        ("date64", naive.cast(pa.date32()).cast(pa.date64()), DAY, {}),
        ("words", pa.array([one.time.isoformat() for one in WORLD]).dictionary_encode(), SECOND, {}),
        ("bytes", pa.array([one.time.isoformat().encode() for one in WORLD]), SECOND, {}),
    ):
        take(tmp_path / name, parquet(tmp_path / f"{name}.parquet", WORLD, times, **options))
        assert set(moments(tmp_path / name)) == set(expected(WORLD, step)), name


@pytest.mark.parametrize(
    ("times", "type_"),
    [
        (pa.array([datetime.min.time()] * 3), "TIME"),
        (pa.array([[1], [2], [3]]), r"BIGINT\[\]"),
        (pa.array([{"seconds": 1}] * 3), "STRUCT"),
        (pa.array([True] * 3), "BOOLEAN"),
    ],
)
def test_a_column_that_cannot_be_a_time_is_refused_in_words(
    tmp_path: Path, times: pa.Array, type_: str
) -> None:
    source = parquet(tmp_path / "log.parquet", WORLD[:3], times)
    with pytest.raises(InputError, match=rf"'timestamp' is {type_}.*, which can't be a time"):
        take(tmp_path / "w", source)


def test_day_first_or_month_first_is_settled_by_one_day_above_the_12th(tmp_path: Path) -> None:
    rows = [one for one in WORLD if one.time.day <= 12]
    rows = [*rows, *rows, WORLD[-1]]
    report = take(tmp_path / "a", csv(tmp_path / "a.csv", rows, lambda t: f"{t:%d/%m/%Y}"))
    assert "a.csv: times in 'timestamp' read as day-first dates (dd/mm/yyyy)" in report.notes
    assert set(moments(tmp_path / "a")) == set(expected(rows, DAY))
    report = take(tmp_path / "b", csv(tmp_path / "b.csv", rows, lambda t: f"{t:%m/%d/%Y}"))
    assert "b.csv: times in 'timestamp' read as month-first dates (mm/dd/yyyy)" in report.notes
    assert set(moments(tmp_path / "b")) == set(expected(rows, DAY))


def test_where_nothing_settles_it_the_setting_is_asked_for(tmp_path: Path) -> None:
    rows = [one for one in WORLD if one.time.day <= 12]
    source = csv(tmp_path / "log.csv", rows, lambda t: f"{t:%d-%m-%Y %H:%M}")
    with pytest.raises(InputError, match="can be day-first or month-first; none has a day after") as error:
        take(tmp_path / "w", source)
    assert "time_format in freshet.toml to 'day-first' or 'month-first'" in error.value.hint
    assert take(tmp_path / "w", source, time_format="day-first").quarantined == {}
    assert set(moments(tmp_path / "w")) == set(expected(rows, MINUTE))


def test_a_later_file_is_read_as_the_earlier_ones_of_its_log(tmp_path: Path) -> None:
    early, late = [o for o in WORLD if o.time.day > 12], [o for o in WORLD if o.time.day <= 12]
    take(tmp_path / "w", csv(tmp_path / "a.csv", early, lambda t: f"{t:%d-%m-%Y}"))
    take(tmp_path / "w", csv(tmp_path / "b.csv", late, lambda t: f"{t:%d-%m-%Y}"))
    assert set(moments(tmp_path / "w")) == set(expected(WORLD, DAY))


def test_files_of_one_folder_settle_it_for_each_other(tmp_path: Path) -> None:
    early, late = [o for o in WORLD if o.time.day <= 12], [o for o in WORLD if o.time.day > 12]
    (tmp_path / "logs").mkdir()
    csv(tmp_path / "logs" / "1.csv", early, lambda t: f"{t:%m/%d/%Y}")
    csv(tmp_path / "logs" / "2.csv", late, lambda t: f"{t:%m/%d/%Y}")
    take(tmp_path / "w", tmp_path / "logs")
    assert set(moments(tmp_path / "w")) == set(expected(WORLD, DAY))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda t: int(t.timestamp()), lambda t: int(t.timestamp()) * 1000),
        (lambda t: f"{t:%d/%m/%Y}", lambda t: f"{t:%m/%d/%Y}"),
        (lambda t: f"{t:%Y%m%d}", lambda t: f"{t:%Y%d%m}"),
        (lambda t: f"{t:%Y-%m-%d}", lambda t: f"{t:%Y-%d-%m}"),
        (datetime.isoformat, lambda t: int(t.timestamp())),
    ],
)
def test_a_column_of_two_forms_is_refused(
    tmp_path: Path, one: Callable[[datetime], Any], other: Callable[[datetime], Any]
) -> None:
    source = csv(tmp_path / "log.csv", WORLD, lambda t: one(t) if t.second % 2 else other(t))
    with pytest.raises(InputError, match="'timestamp' mixes ") as error:
        take(tmp_path / "w", source)
    assert "time_format" in error.value.hint


def test_units_may_differ_between_files(tmp_path: Path) -> None:
    take(tmp_path / "w", csv(tmp_path / "a.csv", WORLD[:60], lambda t: int(t.timestamp())))
    take(tmp_path / "w", csv(tmp_path / "b.csv", WORLD[60:], lambda t: int(t.timestamp() * 1000)))
    assert set(moments(tmp_path / "w")) == set(expected(WORLD))


def test_a_few_missing_times_as_zeros_are_quarantined(tmp_path: Path) -> None:
    source = csv(tmp_path / "log.csv", WORLD, lambda t: 0 if t.second == 7 else int(t.timestamp()))
    zeros = sum(one.time.second == 7 for one in WORLD)
    assert zeros
    assert take(tmp_path / "w", source).quarantined == {"time before 1980": zeros}


@pytest.mark.parametrize("missing", ["nan", "NaT", "None"])
def test_a_word_for_a_missing_number_is_no_time_before_1970(tmp_path: Path, missing: str) -> None:
    source = csv(tmp_path / "log.csv", WORLD, lambda t: missing if t.second == 7 else int(t.timestamp()))
    assert take(tmp_path / "v", source).quarantined.keys() == {"unreadable time"}
    numbers = pa.array([float("nan"), *(one.time.timestamp() for one in WORLD[1:])])
    report = take(tmp_path / "w", parquet(tmp_path / "log.parquet", WORLD, numbers))
    assert report.quarantined == {"unreadable time": 1}


def test_many_refused_rows_are_told_with_one_of_them(tmp_path: Path) -> None:
    """Of a log that turns to milliseconds far beyond the rows that are looked at, too."""
    rows = WORLD * 190
    times = iter([int(one.time.timestamp()) * (1000 if n >= 21_000 else 1) for n, one in enumerate(rows)])
    report = take(tmp_path / "w", csv(tmp_path / "log.csv", rows, lambda _: next(times)))
    assert report.quarantined == {"time in the future": 1_800}
    assert [n for n in report.notes if n.startswith("log.csv: 8% of its rows are refused, such as time in")]


def test_a_zone_is_used_for_every_form_without_one(tmp_path: Path) -> None:
    first = expected(WORLD[:1])[0]
    for name, write in (
        ("mind", us),
        ("digits", lambda t: f"{t:%Y%m%d%H%M%S}"),
        ("english", lambda t: f"{t:%d %B %Y %H:%M:%S}"),
    ):
        source = csv(tmp_path / f"{name}.csv", WORLD, lambda t, write=write: write(t.astimezone(PARIS)))
        report = take(tmp_path / name, source, timezone="Etc/GMT-2")
        assert report.first == first
        assert f"{name}.csv: 120 times carry no zone, read as Etc/GMT-2" in report.notes


def test_of_several_columns_the_one_with_times_of_day_is_taken_and_told(tmp_path: Path) -> None:
    """KuaiRand has `date`, `hourmin` and `time_ms`."""
    more = {"hourmin": lambda t: f"{t:%H%M}", "time_ms": lambda t: int(t.timestamp()) * 1000}
    source = csv(tmp_path / "log.csv", WORLD, lambda t: f"{t:%Y%m%d}", more=more, column="date")
    report = take(tmp_path / "a", source)
    assert set(moments(tmp_path / "a")) == set(expected(WORLD))
    assert "log.csv: column 'time_ms' read as time, not 'date'" in report.notes
    report = take(tmp_path / "b", source, columns={"time": "date"})
    assert set(moments(tmp_path / "b")) == set(expected(WORLD, DAY))
    assert "log.csv: 'date' has no time of day; [events.columns] time may be 'time_ms'" in report.notes


def test_a_column_that_another_file_may_settle_is_not_passed_over(tmp_path: Path) -> None:
    early, late = [o for o in WORLD if o.time.day <= 12], [o for o in WORLD if o.time.day > 12]
    (tmp_path / "logs").mkdir()
    more = {"time": lambda t: f"{t:%d/%m/%Y %H:%M:%S}"}
    for name, rows in (("1.csv", early), ("2.csv", late)):
        csv(tmp_path / "logs" / name, rows, lambda t: f"{t:%Y-%m-%d}", more=more, column="date")
    with pytest.raises(InputError, match=r"'time' such as .* can be day-first or month-first"):
        take(tmp_path / "v", tmp_path / "logs" / "1.csv")
    take(tmp_path / "w", tmp_path / "logs")
    assert set(moments(tmp_path / "w")) == set(expected(WORLD))


def test_a_clock_beside_a_date_is_not_taken_for_a_time(tmp_path: Path) -> None:
    more = {"time": lambda t: f"{t:%H:%M:%S}"}
    source = csv(tmp_path / "log.csv", WORLD, lambda t: f"{t:%Y-%m-%d}", more=more, column="date")
    report = take(tmp_path / "w", source)
    assert set(moments(tmp_path / "w")) == set(expected(WORLD, DAY))
    assert "log.csv: column 'date' read as time, not 'time'" in report.notes


def test_a_first_log_of_one_day_and_eras_far_apart_are_told(tmp_path: Path) -> None:
    one_day = [One(o.user, o.item, o.time.replace(month=4, day=21), o.value) for o in WORLD]
    report = take(tmp_path / "a", csv(tmp_path / "a.csv", one_day))
    assert [note for note in report.notes if "are of one day, 2022-04-21" in note]
    old = [One(o.user, o.item, o.time.replace(year=1991), o.value) for o in WORLD[:80]]
    assert take(tmp_path / "b", csv(tmp_path / "b.csv", WORLD)).notes == ()
    report = take(tmp_path / "b", csv(tmp_path / "c.csv", old))
    (note,) = report.notes
    assert note.startswith("the log has 80 events up to 1991-03-13, 120 from 2022-03-10 on, none between")
    assert take(tmp_path / "b", csv(tmp_path / "d.csv", one_day[:50])).notes == ()


def test_a_whole_log_has_the_days_it_was_written_with(tmp_path: Path) -> None:
    report = take(tmp_path / "w", csv(tmp_path / "log.csv", WHOLE, us))
    assert (report.days, report.first.date()) == (DAYS, date(2022, 3, 1))


@pytest.mark.parametrize(("form", "factor"), [("%.5E", 1000), ("%.2E", 1000), ("%.5e", 1)])
def test_numbers_that_a_spreadsheet_has_shortened_are_no_times(
    tmp_path: Path, form: str, factor: int
) -> None:
    source = csv(tmp_path / "log.csv", WORLD, lambda t: form % (t.timestamp() * factor))
    with pytest.raises(InputError, match=r"'[a-z_]+' holds '1.*[eE]\+.*': as spreadsheets shorten") as e:
        take(tmp_path / "w", source)
    assert "time_format" in e.value.hint


def test_a_few_round_numbers_with_an_exponent_are_times(tmp_path: Path) -> None:
    """R prints 1640000000 as 1.64e+09 among others in full."""
    source = csv(tmp_path / "log.csv", WORLD, lambda t: "1.64e+09" if t == WORLD[5].time else t.timestamp())
    report = take(tmp_path / "w", source)
    assert (report.added, report.quarantined) == (len(WORLD), {})
