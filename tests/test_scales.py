"""Lengths of time that follow from the pace of a log."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.config import Config, CountsConfig, EvidenceConfig
from freshet.scales import Pace, measure, resolve


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
    assert scales.half_lives == (window, 4 * window, 16 * window)
    assert scales.transition_half_life == 32 * window


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
    assert (scales.transition_half_life, scales.evidence_days) == (5.0, 9)
    follows = resolve(Pace(1000.0, 1000), Config(counts=CountsConfig(window_days=10)))
    assert (follows.half_lives, follows.transition_half_life) == ((10.0, 40.0, 160.0), 320.0)
