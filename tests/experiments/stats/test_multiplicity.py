"""Intervals that hold at every look; p values of several metrics at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.experiments.stats.multiplicity import always_valid, always_valid_p, boundary, holm, mixing

P = st.lists(st.floats(0, 1), min_size=1, max_size=8)
LOOKS = st.lists(st.tuples(st.floats(-9, 9), st.floats(0.01, 9)), min_size=1, max_size=9)


def test_the_formula_by_hand() -> None:
    """V = T = 1, alpha = 0.05: sqrt(2 log(2 / 0.0025))."""
    low, high = always_valid(3.0, 1.0, 1.0)
    assert (low, high) == pytest.approx((3 - math.sqrt(2 * math.log(800)), 3 + math.sqrt(2 * math.log(800))))


@given(st.floats(1e-6, 1e6), st.floats(0.5, 0.999))
def test_mixing_makes_the_planned_look_the_narrowest(variance: float, level: float) -> None:
    best = mixing(variance, level)
    width = [float(always_valid(0, variance, best * factor, level)[1]) for factor in (0.8, 1, 1.25)]
    assert width[1] == min(width)


@given(LOOKS, st.floats(0.01, 9), st.floats(0.5, 0.999))
def test_p_says_what_the_intervals_say(looks: list[tuple[float, float]], spread: float, level: float) -> None:
    value, variance = np.array(looks).T
    low, high = always_valid(value, variance, spread, level)
    left_out = np.logical_or.accumulate((low > 0) | (high < 0))
    p = always_valid_p(value, variance, spread)
    clear = np.abs(p - (1 - level)) > 1e-9
    assert ((p < 1 - level) == left_out)[clear].all()
    assert (np.diff(p) <= 0).all()
    assert ((p >= 0) & (p <= 1)).all()


def test_what_is_not_known_is_unbounded() -> None:
    low, high = always_valid([1.0, np.nan, 2.0], [np.nan, 1.0, np.inf], 1.0)
    assert np.isinf(low).all()
    assert np.isinf(high).all()
    assert always_valid_p([1.0], [np.nan], 1.0).tolist() == [1]


def test_boundaries_are_those_of_the_intervals() -> None:
    variance = np.array([0.5, 2.0, np.nan])
    low, _ = always_valid(np.zeros(3), variance, 3.0, 0.9)
    assert (boundary(variance, 3.0, 0.9)[:2] * np.sqrt(variance[:2])).tolist() == pytest.approx(-low[:2])
    assert boundary(variance, 3.0, 0.9)[2] == math.inf


def walks(looks: int, times: int, drift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """SIMULATED cumulative means of normal days, (times, looks), and their variances (looks,)."""
    day = np.arange(1, looks + 1)
    steps = np.random.default_rng(0).normal(drift, 1, (times, looks))
    return steps.cumsum(axis=1) / day, 1 / day


def test_daily_looks_raise_few_false_alarms_where_plain_intervals_raise_many() -> None:
    value, variance = walks(100, 4000)
    low, high = always_valid(value, variance, mixing(1 / 100))
    wrong = ((low > 0) | (high < 0)).any(axis=1).mean()
    peeking = (np.abs(value) > 1.96 * np.sqrt(variance)).any(axis=1).mean()
    assert 0.005 < wrong < 0.05
    assert peeking > 0.3


def test_an_effect_is_found_and_held_at_every_look() -> None:
    value, variance = walks(100, 2000, 0.4)
    low, high = always_valid(value, variance, mixing(1 / 100))
    assert ((low <= 0.4) & (high >= 0.4)).all(axis=1).mean() > 0.95
    assert (low > 0).any(axis=1).mean() > 0.7


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.01, np.nan, 0.5]), [0.02, np.nan, 0.5])
    assert holm([]).tolist() == []


@given(P)
def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni(p: list[float]) -> None:
    found, plain = holm(p), np.array(p)
    assert (found >= plain).all()
    assert (found <= np.minimum(1, plain * len(p)) + 1e-12).all()
    assert (np.diff(found[np.argsort(plain, kind="stable")]) >= 0).all()


@given(P, st.data())
def test_holm_is_monotone(p: list[float], data: st.DataObject) -> None:
    """A smaller p anywhere makes no adjusted p larger."""
    place, factor = data.draw(st.integers(0, len(p) - 1)), data.draw(st.floats(0, 1))
    less = [value * factor if i == place else value for i, value in enumerate(p)]
    assert (holm(less) <= holm(p) + 1e-12).all()
