"""Times of cron expressions, against every minute of days on which clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from freshet.core.cron_times import Cron

CHANGES = [
    ("Europe/Berlin", datetime(2024, 3, 31, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2024, 10, 27, tzinfo=UTC)),
    ("America/New_York", datetime(2024, 3, 10, tzinfo=UTC)),
    ("America/St_Johns", datetime(2024, 11, 3, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2024, 4, 6, tzinfo=UTC)),  # by half an hour
    ("Australia/Lord_Howe", datetime(2024, 10, 5, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2024, 4, 25, tzinfo=UTC)),  # at midnight
    ("Africa/Cairo", datetime(2024, 10, 31, tzinfo=UTC)),
    ("Asia/Kolkata", datetime(2024, 2, 29, tzinfo=UTC)),
    ("UTC", datetime(2024, 12, 31, tzinfo=UTC)),
]
MINUTE = timedelta(minutes=1)
minutes = st.sampled_from(["0", "30", "5,45", "59", "*/15", "*/20", "0-30/30"])
hours = st.sampled_from(["0", "1", "2", "3", "1,2", "0-3", "*/2", "*", "23"])
days = st.sampled_from(["* * *", "* * SUN", "31,1 * *", "* 3,10 *", "28 * SUN", "L * *"])


def brute(text: str, zone: ZoneInfo, start: datetime, count: int) -> list[datetime]:
    """Every time in so many days, found by looking at every minute."""
    minute, hour, *of_day = text.split()
    in_minutes, in_hours = numbers(minute, 60), numbers(hour, 24)
    total = count * 24 * 60
    real = [(start + n * MINUTE) for n in range(total)]
    walls = [(one, one.astimezone(zone)) for one in real]
    if minute.startswith("*") or hour.startswith("*"):
        return [
            one
            for one, wall in walls
            if wall.minute in in_minutes and wall.hour in in_hours and on_day(wall, of_day)
        ]
    found = set()
    seen = {wall.replace(tzinfo=None): one for one, wall in reversed(walls)}  # of an hour twice, the first
    dates = sorted({wall.date() for _, wall in walls})
    for date in dates[1:-1]:
        midnight = datetime(date.year, date.month, date.day)
        if not on_day(midnight, of_day):
            continue
        for h in in_hours:
            for m in in_minutes:
                wall = midnight.replace(hour=h, minute=m)
                while wall not in seen:  # the clock jumps over it
                    wall += MINUTE
                found.add(seen[wall])
    return sorted(found)


def numbers(field: str, size: int) -> set[int]:
    field, _, step = field.partition("/")
    if field == "*":
        found = set(range(size))
    elif "-" in field:
        first, last = map(int, field.split("-"))
        found = set(range(first, last + 1))
    else:
        found = set(map(int, field.split(",")))
    return set(sorted(found)[:: int(step or 1)])


def on_day(wall: datetime, fields: list[str]) -> bool:
    day, month, of_week = fields
    if month != "*" and wall.month not in map(int, month.split(",")):
        return False
    last = (wall + timedelta(days=1)).day == 1
    by_day = day == "*" or (last if day == "L" else str(wall.day) in day.split(","))
    by_week = of_week == "*" or wall.weekday() == 6
    return (by_day and by_week) if "*" in (day, of_week) else (by_day or by_week)


@given(st.sampled_from(CHANGES), minutes, hours, days, st.integers(0, 3 * 24 * 60))
def test_times_are_those_found_by_looking_at_every_minute(
    change: tuple[str, datetime], minute: str, hour: str, day: str, offset: int
) -> None:
    assume(change[0] != "Australia/Lord_Howe" or "*" not in (minute + hour))  # see the module
    zone, middle = ZoneInfo(change[0]), change[1]
    text = f"{minute} {hour} {day}"
    cron = Cron.of(text, zone)
    start = middle - timedelta(days=3)
    expected = brute(text, zone, start, 7)
    # days at either end are not whole in the zone
    expected = [one for one in expected if start + timedelta(days=1) < one < start + timedelta(days=6)]
    moment = start + timedelta(days=1) + offset * MINUTE + timedelta(seconds=17)
    later = [one for one in expected if one > moment]
    found = []
    while later and len(found) < len(later):
        found.append(cron.after(found[-1] if found else moment))
    assert found == later
    earlier = [one for one in expected if one <= moment]
    if earlier:
        assert cron.until(moment) == earlier[-1]
        assert cron.until(earlier[-1]) == earlier[-1]
        assert cron.until(earlier[-1] - timedelta(seconds=1)) != earlier[-1]


@given(
    st.sampled_from(CHANGES), minutes, hours, days, st.datetimes(datetime(2023, 1, 1), datetime(2026, 1, 1))
)
def test_what_comes_next_is_the_last_one_when_it_has_come(
    change: tuple[str, datetime], minute: str, hour: str, day: str, at: datetime
) -> None:
    cron, moment = Cron.of(f"{minute} {hour} {day}", ZoneInfo(change[0])), at.replace(tzinfo=UTC)
    coming, last = cron.after(moment), cron.until(moment)
    assert last is not None
    assert last <= moment < coming
    assert cron.until(coming) == coming
    assert cron.after(last) == coming


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0 25 * * *", "Bad hour"),
        ("61 3 * * *", "Bad minute"),
        ("0 3 * * MOO", "Bad day-of-week"),
        ("0 0 30 2 *", "Bad day-of-month"),
        ("0 3 * *", "has 4 fields"),
        ("0 0 3 * * *", "has 6 fields"),
        ("", "has 0 fields"),
        ("*/10 * * * *", "more often than every 15 minutes"),
        ("0,59 * * * *", "more often than every 15 minutes"),
    ],
)
def test_what_is_no_expression_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Cron.of(text, ZoneInfo("UTC"))


def test_a_leap_day_has_a_last_one_years_ago() -> None:
    cron = Cron.of("0 3 29 2 *", ZoneInfo("UTC"))
    assert cron.until(datetime(2027, 1, 1, tzinfo=UTC)) == datetime(2024, 2, 29, 3, tzinfo=UTC)
    assert cron.after(datetime(2027, 1, 1, tzinfo=UTC)) == datetime(2028, 2, 29, 3, tzinfo=UTC)


def test_the_brute_force_itself_knows_the_hour_that_comes_twice_and_the_one_that_does_not_come() -> None:
    zone = ZoneInfo("Europe/Berlin")
    autumn = brute("30 2 * * *", zone, datetime(2024, 10, 25, tzinfo=UTC), 5)
    assert datetime(2024, 10, 27, 0, 30, tzinfo=UTC) in autumn
    assert datetime(2024, 10, 27, 1, 30, tzinfo=UTC) not in autumn
    spring = brute("30 2 * * *", zone, datetime(2024, 3, 29, tzinfo=UTC), 5)
    assert datetime(2024, 3, 31, 1, 0, tzinfo=UTC) in spring
    twice = brute("0 */1 * * *", zone, datetime(2024, 10, 25, tzinfo=UTC), 5)
    assert {later - earlier for earlier, later in pairwise(twice)} == {timedelta(hours=1)}
