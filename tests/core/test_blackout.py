"""Windows in which nothing begins, against a clock on the wall that is looked at every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.blackout import DAYS, Window, blackout_until, check_windows

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
minute = st.integers(0, 1439)


@given(
    st.sampled_from(ZONES),
    st.sets(st.integers(0, 6), min_size=1, max_size=6),
    minute,
    minute,
    st.datetimes(datetime(2024, 3, 1), datetime(2024, 11, 30)),
)
def test_a_blackout_ends_at_the_first_minute_outside(
    zone_name: str, days: set[int], start: int, end: int, at: datetime
) -> None:
    if start == end:
        return
    zone, moment = ZoneInfo(zone_name), at.replace(tzinfo=UTC)
    names = ",".join(DAYS[day] for day in sorted(days))
    window = Window.parse(f"{names} {start // 60:02d}:{start % 60:02d}-{end // 60:02d}:{end % 60:02d}")

    def holds(time: datetime) -> bool:
        wall = time.astimezone(zone)
        now = wall.hour * 60 + wall.minute
        today, yesterday = wall.weekday() in days, (wall.weekday() - 1) % 7 in days
        if start < end:
            return today and start <= now < end
        return (today and now >= start) or (yesterday and now < end)

    until = blackout_until([window], zone, moment)
    assert (until is not None) == holds(moment)
    if until is not None:
        assert until > moment
        assert not holds(until)
        time = moment
        while time < until:
            assert holds(time)
            time += timedelta(minutes=7)
        assert holds(until - timedelta(seconds=1))


def test_windows_as_people_write_them() -> None:
    assert Window.parse("Mon-Fri 08:00-10:00") == Window(frozenset(range(5)), 480, 600)
    assert Window.parse(" sat,Sun  0:00 - 24:00") == Window(frozenset({5, 6}), 0, 1440)
    assert Window.parse("Fri-Mon 22:00-06:00") == Window(frozenset({4, 5, 6, 0}), 1320, 360)
    assert Window.parse("23:30-00:30").days == frozenset(range(7))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mon",
        "8-10",
        "Mon-Fri 08:00",
        "Mo 08:00-09:00",
        "08:00-08:00",
        "24:00-01:00",
        "25:00-26:00",
        "08:60-09:00",
        "08:00-24:30",
        "Mon- 08:00-09:00",
    ],
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|begins where it ends"):
        Window.parse(text)


def test_windows_leave_a_minute_of_the_week() -> None:
    check_windows([Window.parse("Mon-Sun 00:00-23:59")])
    with pytest.raises(ValueError, match="no minute"):
        check_windows([Window.parse("Mon-Sun 00:00-12:00"), Window.parse("12:00-00:00")])


def test_clocks_that_change_within_a_window() -> None:
    zone = ZoneInfo("Europe/Berlin")
    night = [Window.parse("Sun 01:00-02:30")]
    # in spring 02:00 is 03:00: the window ends where the clock jumps
    spring = blackout_until(night, zone, datetime(2024, 3, 31, 0, 30, tzinfo=UTC))
    assert spring == datetime(2024, 3, 31, 1, 0, tzinfo=UTC)
    # in autumn 02:10 comes twice, and is in it twice
    assert blackout_until(night, zone, datetime(2024, 10, 27, 0, 10, tzinfo=UTC)) == datetime(
        2024, 10, 27, 0, 30, tzinfo=UTC
    )
    assert blackout_until(night, zone, datetime(2024, 10, 27, 1, 10, tzinfo=UTC)) == datetime(
        2024, 10, 27, 1, 30, tzinfo=UTC
    )
    assert blackout_until(night, zone, datetime(2024, 10, 27, 0, 40, tzinfo=UTC)) is None
