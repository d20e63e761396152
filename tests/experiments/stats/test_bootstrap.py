"""Intervals by resampling users."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from freshet.experiments.stats.bootstrap import bootstrap
from freshet.experiments.stats.effects import effect
from freshet.experiments.stats.moments import Moments


def rated(seed: int, n: int, like: float) -> np.ndarray:
    """(n, 2) liked and rated by each of n users."""
    rng = np.random.default_rng(seed)
    seen = rng.geometric(0.3, n)
    return np.column_stack([rng.binomial(seen, like), seen]).astype(float)


def test_it_agrees_with_the_delta_method_on_many_users() -> None:
    control, treatment = rated(1, 5000, 0.3), rated(2, 5000, 0.33)
    found = bootstrap(control, treatment, seed=3)
    wanted = effect(Moments.of(control), Moments.of(treatment)).relative
    assert found.value == pytest.approx(wanted.value)
    assert found.variance == pytest.approx(wanted.variance, rel=0.15)
    width = wanted.high - wanted.low
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.08 * width)


def test_it_agrees_with_scipy_on_few_users() -> None:
    rng = np.random.default_rng(4)
    control, treatment = rng.exponential(1, 30), rng.exponential(1.5, 20)
    found = bootstrap(control, treatment, resamples=20_000, level=0.9)
    wanted = stats.bootstrap(
        (control, treatment),
        lambda c, t, axis: t.mean(axis=axis) / c.mean(axis=axis) - 1,
        n_resamples=20_000,
        confidence_level=0.9,
        method="percentile",
        rng=5,
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.03)


def test_users_are_drawn_as_wholes() -> None:
    """Four users of a thousand rows each vary as four, not as four thousand."""
    control, treatment = np.array([[1.0, 1000], [1000, 1000]] * 2), np.array([[500.0, 1000]] * 4)
    found = bootstrap(control, treatment)
    assert found.high - found.low > 1


def test_the_same_seed_draws_the_same_and_parts_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    control, treatment = rated(1, 50, 0.3), rated(2, 60, 0.5)
    whole = bootstrap(control, treatment, seed=7)
    monkeypatch.setattr("freshet.experiments.stats.bootstrap.AT_ONCE", 500)
    assert bootstrap(control, treatment, seed=7) == whole
    assert bootstrap(control, treatment, seed=8) != whole


def test_a_control_that_may_be_zero_bounds_nothing() -> None:
    found = bootstrap([0.0, 0, 0, 1], [1.0, 2, 3, 4])
    assert (found.low, found.high) == (-np.inf, np.inf)
