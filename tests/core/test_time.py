"""Days and moments: as text, as numbers, and back."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.time import (
    DAY,
    EPOCH,
    AsOf,
    date_of,
    datetime_of,
    day_name,
    day_number,
    microseconds_of,
    midnight,
)


@given(st.dates(), st.integers(0, DAY - 1))
def test_a_day_and_its_numbers_are_one_thing(day: date, within: int) -> None:
    number = day_number(day)
    assert number == day_number(str(day)) == (day - EPOCH).days
    assert day_name(number) == str(day)
    assert date_of(midnight(day) + within) == day
    moment = AsOf.from_day_number(number)
    assert (moment, moment.day_number, moment.microseconds) == (AsOf(day), number, midnight(day))


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_and_its_microseconds_are_one_thing(moment: datetime) -> None:
    assert datetime_of(microseconds_of(moment)) == moment
    assert date_of(microseconds_of(moment)) == moment.date()


def test_a_time_within_a_day_is_rounded_down_to_its_midnight_in_utc() -> None:
    assert AsOf.parse("2013-06-01T23:59") == AsOf.parse("2013-06-01")
    assert AsOf.parse("2013-06-01T23:59-02:00") == AsOf(date(2013, 6, 2))
    assert AsOf.parse("2013-06-01").moment == datetime(2013, 6, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="2013-6"):
        AsOf.parse("2013-6-1")


def test_days_are_added_and_taken_away() -> None:
    moment = AsOf.parse("2024-02-28")
    assert str(moment.plus(2)) == "2024-03-01"
    assert moment.plus(2).minus(2) == moment


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    moment = datetime(1970, 1, 1, 2, 0, 0, 1, tzinfo=timezone(timedelta(hours=2)))
    assert microseconds_of(moment) == 1
