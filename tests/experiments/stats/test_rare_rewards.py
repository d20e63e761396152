"""Intervals of a few weighted rewards hold the truth as often as they should; symmetric ones don't."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.experiments.stats.effects import Estimate
from freshet.experiments.stats.off_policy import Logged, ips
from freshet.experiments.stats.rare_rewards import difference, skewed

TESTS, ROWS, RATE = 400, 4000, 0.006


def _logs() -> list[tuple[Logged, float]]:
    """SIMULATED logs of an uneven policy; the target takes each of 30 actions as often."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(TESTS):
        rates = RATE * np.exp(rng.normal(0, 0.3, 30))
        policy = np.exp(rng.normal(0, 1.0, 30))
        policy /= policy.sum()
        action = rng.choice(30, ROWS, p=policy)
        reward = (rng.random(ROWS) < rates[action]).astype(np.float64)
        user = np.arange(ROWS, dtype=np.uint64)
        found.append((Logged(user, reward, policy[action], np.full(ROWS, 1 / 30)), float(rates.mean())))
    return found


def test_rare_rewards_are_covered_where_symmetric_intervals_are_not() -> None:
    held, symmetric = [], []
    for logged, truth in _logs():
        value = ips(logged).value
        half = 1.96 * value.variance**0.5
        held.append(value.low <= truth <= value.high)
        symmetric.append(abs(value.value - truth) <= half)
    assert np.mean(held) >= 0.93
    assert np.mean(symmetric) < 0.90


def test_many_rewards_are_as_normal_ones() -> None:
    one = skewed(Estimate(0.5, 0, 0, 1e-6), 0.5, 1e-6, 0.95)
    assert (one.low, one.high) == pytest.approx((0.5 - 1.96e-3, 0.5 + 1.96e-3), abs=5e-6)


def test_no_reward_is_no_certainty() -> None:
    none = skewed(Estimate(0.0, 0, 0, 0.0), 0.0, 0.001, 0.95)
    assert none.low == 0
    assert none.high == pytest.approx(
        -np.log(0.025) * 0.001
    )  # one event, at the rate that shows none in 2.5 %


def test_what_rewards_do_not_make_shifts_the_interval() -> None:
    plain = skewed(Estimate(0.01, 0, 0, 4e-6), 0.01, 0.001, 0.95)
    shifted = skewed(Estimate(0.03, 0, 0, 4e-6), 0.01, 0.001, 0.95)
    assert (shifted.low - plain.low, shifted.high - plain.high) == pytest.approx((0.02, 0.02))


def test_a_difference_is_as_lopsided_as_its_parts() -> None:
    one, other = Estimate(2.0, 1.5, 4.0, 0.36), Estimate(1.0, 0.8, 1.3, 0.02)
    apart = difference(one, other, Estimate(1.0, 0, 0, 0.38))  # independent
    assert apart.low == pytest.approx(1.0 - (0.5**2 + 0.3**2) ** 0.5)
    assert apart.high == pytest.approx(1.0 + (2.0**2 + 0.2**2) ** 0.5)
    same = difference(one, one, Estimate(0.0, 0, 0, 0.0))
    assert (same.low, same.high) == pytest.approx(
        (-1.5, 1.5)
    )  # alike in full: what is left is their skewness
