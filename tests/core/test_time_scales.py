"""Lengths of time that follow from the pace of a log."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.config import Config, CountsConfig, EvidenceConfig
from freshet.core.time_scales import Pace, measure, resolve


def days(number: int, events: int, start: date = date(2020, 1, 1)) -> list[tuple[date, int]]:
    return [(start + timedelta(days=i), events) for i in range(number)]


def test_the_pace_is_that_of_the_last_year() -> None:
    assert measure(days(100, 5)) == Pace(5.0, 99)
    slow, busy = days(1000, 1), days(365, 40, date(2020, 1, 1) + timedelta(days=1000))
    assert measure([*slow, *busy]) == Pace(40.0, 1364)
    assert measure([(date(2020, 1, 1), 7)]) == Pace(7.0, 0)
    gaps = [(date(2020, 1, 1), 10), (date(2020, 1, 10), 10)]
    assert measure(gaps) == Pace(2.0, 9)


@pytest.mark.parametrize(
    ("rate", "window"), [(1000.0, 7), (250 / 7, 7), (35.0, 28), (250 / 28, 28), (8.0, 91), (0.01, 91)]
)
def test_windows_hold_enough_events(rate: float, window: int) -> None:
    scales = resolve(Pace(rate, 10_000), Config())
    assert scales.window_days == window
    assert scales.half_lives == tuple(window * length for length in (0.25, 0.5, 1, 2, 4, 8, 16))
    assert scales.half_lives[scales.steady] == 4 * window
    assert scales.transition_half_lives == tuple(window * length for length in (8, 16, 32, 64, 128))


@given(st.floats(0.001, 1e6), st.integers(0, 20_000))
def test_at_most_a_quarter_of_the_log_is_held_out(rate: float, length: int) -> None:
    scales = resolve(Pace(rate, length), Config())
    assert 1 <= scales.fit_windows <= 12
    assert scales.fit_windows == 1 or scales.fit_windows * scales.window_days <= length / 4


def test_what_is_configured_holds_and_the_rest_follows_from_it() -> None:
    config = Config(
        counts=CountsConfig(window_days=10, fit_windows=3, half_lives=(2.0,), transition_half_life=5.0),
        evidence=EvidenceConfig(window_days=9),
    )
    scales = resolve(Pace(1000.0, 10), config)
    assert (scales.window_days, scales.fit_windows, scales.half_lives) == (10, 3, (2.0,))
    assert (scales.transition_half_lives, scales.evidence_days) == ((5.0,), 9)
    follows = resolve(Pace(1000.0, 1000), Config(counts=CountsConfig(window_days=10)))
    assert (follows.half_lives[0], follows.half_lives[-1]) == (2.5, 160.0)
    assert follows.transition_half_lives[2] == 320.0
    given = resolve(Pace(1000.0, 1000), Config(counts=CountsConfig(half_lives=(9.0, 3.0, 27.0))))
    assert (given.half_lives, given.steady) == ((3.0, 9.0, 27.0), 1)
