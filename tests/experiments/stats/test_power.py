"""How many users and days it takes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.errors import NotEnoughData
from freshet.experiments.stats.effects import effect
from freshet.experiments.stats.moments import Moments
from freshet.experiments.stats.power import (
    Baseline,
    Design,
    Span,
    detectable,
    detectable_by,
    plan,
    power,
    users_needed,
)

BASELINE = Baseline(2.0, 4.0)


def test_known_answer() -> None:
    """cv 1, 5 % effect: n per arm = (1 + 1.05^2) (1.96 + 0.8416)^2 / 0.0025 = 6600.9."""
    assert users_needed(0.05, BASELINE) == math.ceil(2 * 2.1025 * (1.959964 + 0.841621) ** 2 / 0.0025)
    assert power(0.05, BASELINE, 2 * 6601) == pytest.approx(0.8, abs=1e-4)
    counts = Baseline(1.0, 1.0, counted=1.0)  # Poisson: the variance grows as the mean
    assert users_needed(0.05, counts) == math.ceil(2 * 2.05 * (1.959964 + 0.841621) ** 2 / 0.0025)
    assert power(0.0, BASELINE, 1000) == pytest.approx(0.05)


@given(st.floats(0.001, 0.5), st.floats(0.1, 0.9), st.floats(0.5, 0.99), st.booleans(), st.floats(0, 0.9))
def test_effect_users_and_power_belong_together(
    wanted: float, share: float, sure: float, sequential: bool, explained: float
) -> None:
    design, baseline = Design(share, 0.95, sure, sequential), Baseline(3.0, 7.0, explained)
    users = users_needed(wanted, baseline, design)
    assert power(wanted, baseline, users, design) >= sure - 1e-6
    assert detectable(baseline, users, design) <= wanted
    assert detectable(baseline, users, design) == pytest.approx(wanted, rel=0.3 if users < 10 else 0.1)


def test_an_uneven_split_covariates_and_daily_looks_cost_what_they_cost() -> None:
    half = users_needed(0.001, BASELINE)
    assert users_needed(0.001, BASELINE, Design(share=0.1)) / half == pytest.approx(0.25 / 0.09, rel=3e-3)
    assert users_needed(0.001, Baseline(2.0, 4.0, 0.4)) / half == pytest.approx(0.6, rel=1e-3)
    looks = users_needed(0.001, BASELINE, Design(sequential=True, days=1)) / half
    assert looks == pytest.approx((3.0351 + 0.8416) ** 2 / (1.96 + 0.8416) ** 2, rel=1e-3)
    longer = users_needed(0.001, BASELINE, Design(sequential=True, days=28)) / half
    assert longer == pytest.approx((3.1650 + 0.8416) ** 2 / (1.96 + 0.8416) ** 2, rel=1e-3)


def test_the_planned_power_is_the_power_of_simulated_experiments() -> None:
    """SIMULATED: planned on some users, tried on others."""
    rng = np.random.default_rng(0)
    rate = lambda n: rng.gamma(1.0, 2.0, n)  # noqa: E731
    baseline = Baseline.of(Moments.of(rng.poisson(rate(100_000))))
    users = int(users_needed(0.25, baseline))
    seen = [
        effect(Moments.of(rng.poisson(rate(users // 2))), Moments.of(rng.poisson(1.25 * rate(users // 2)))).p
        for _ in range(800)
    ]
    assert np.mean(np.array(seen) < 0.05) == pytest.approx(0.8, abs=0.07)


def test_an_effect_that_is_large_beside_its_error_is_planned_with_the_variance_it_brings() -> None:
    """SIMULATED, lognormal rates, by a log of as many users; planned without that, 74 % found it."""
    rng = np.random.default_rng(2)
    users, seen, once = 4000, [], []

    def people(n: int, lift: float = 0.0) -> Moments:
        return Moments.of(rng.poisson(rng.lognormal(-0.5, 1, n) * (1 + lift)).astype(float))

    for _ in range(50):
        baseline = Baseline.of(people(users))
        effects = [detectable(baseline, users, Design(sequential=one)) for one in (False, True)]
        for _ in range(40):
            control = people(users // 2)
            once.append(effect(control, people(users // 2, effects[0])).p < 0.05)
            last = effect(control, people(users // 2, effects[1]))
            seen.append(abs(last.z) > Design(sequential=True).critical)
    assert np.mean(once) == pytest.approx(0.8, abs=0.035)
    assert np.mean(seen) == pytest.approx(0.8, abs=0.035)


def test_where_effects_scatter_as_much_as_they_are_large_none_is_detectable() -> None:
    assert detectable(Baseline(1.0, 400.0), 1000) == math.inf
    assert "no effect of any size" in plan([Span(1, 1000, Baseline(1.0, 400.0))], 0.5).says
    long = plan([Span(1, 1e6, BASELINE)], 0.05, Design(sequential=True))
    assert "at least 80% chance" in long.says
    assert power(0.5, Baseline(1.0, 400.0), 1000) < 0.2


def test_what_an_experiment_could_have_seen_follows_from_its_users() -> None:
    rng = np.random.default_rng(3)
    arms = [Moments.of(rng.poisson(rng.gamma(1, 2, n)).astype(float)) for n in (3000, 1000)]
    wanted = detectable(Baseline(2.0, 2 + 4), 4000, Design(share=0.25))
    assert detectable_by(effect(*arms)) == pytest.approx(wanted, rel=0.1)
    assert math.isnan(detectable_by(effect(arms[0], Moments.nothing(2))))


def test_a_baseline_is_measured_with_what_covariates_explain() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 2, 5000)
    found = Baseline.of(Moments.of(np.column_stack([5 + x + rng.normal(0, 1, 5000), np.ones(5000), x])))
    assert found.mean == pytest.approx(5, abs=0.1)
    assert found.variance == pytest.approx(5, rel=0.1)
    assert found.explained == pytest.approx(0.8, abs=0.02)
    assert Baseline.of(Moments.of(x)).explained == 0


SPANS = [Span(14, 30_000, Baseline(4.0, 12.0)), Span(7, 20_000, BASELINE), Span(1, 5_000, Baseline(0.5, 1.0))]


def test_the_fewest_days_that_show_the_effect_are_planned() -> None:
    assert detectable(BASELINE, 20_000) == pytest.approx(0.0396, abs=1e-3)
    found = plan(SPANS, 0.05)
    assert found.days == 7
    assert list(found.detectable) == [1, 7, 14]
    assert "7 days show an effect of 5.000%" in found.says


def test_too_little_traffic_is_said_plainly() -> None:
    found = plan(SPANS, -0.001)
    assert found.days is None
    assert "Traffic is too small: 14 days" in found.says
    assert f"{found.users[14]:,.0f} such users" in found.says
    assert found.users[14] == users_needed(0.001, SPANS[0].baseline)


def test_nothing_to_plan_by() -> None:
    with pytest.raises(NotEnoughData, match="no days"):
        plan([], 0.1)
    assert "The metric is 0" in plan([Span(3, 10, Baseline(0.0, 0.0))], 0.1).says
    assert users_needed(0.0, BASELINE) == math.inf
    assert detectable(BASELINE, 0) == math.inf
    assert power(0.1, Baseline(1.0, 0.0), 10) == 1
