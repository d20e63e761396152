"""What is said of an experiment: effects, intervals for one look and for every look, verdicts."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from freshet.experiments import Moments
from freshet.experiments.tallying import DayMoments
from freshet.experiments.users import Users
from freshet.steps.comparing import FOUND, GROWTH, Compared, compare, ratio_of_users
from freshet.steps.exposures import Exposures
from freshet.steps.measures import Metric
from freshet.steps.measuring import Measured
from tests.steps.exposed import experiment

UP = Metric("up", "outcomes per user", "higher", "user")
DOWN = Metric("down", "complaints per user", "lower", "user")


def lived(seed: int, lift: float, users: int = 300, days: int = 10, metric: Metric = UP) -> Measured:
    """SIMULATED: people who differ a lot come back on some days; treatment's are satisfied more often."""
    rng = np.random.default_rng(seed)
    rate = rng.lognormal(0, 1, (2, users)) * np.array([[1.0], [1.0 + lift]])
    came = rng.random((days, 2, users)) < 0.4
    y = rng.poisson(rate, (days, 2, users)) * came
    seen = came.cumsum(0) > 0
    moments = tuple(
        DayMoments(
            tuple(Moments.of(y[day, arm][seen[day, arm]]) for arm in range(2)),
            tuple(Moments.of(y[: day + 1, arm].sum(0)[seen[day, arm]]) for arm in range(2)),
        )
        for day in range(days)
    )
    everybody = Users(
        np.arange(2 * users, dtype=np.uint64),
        np.repeat([0, 1], users).astype(np.int8),
        np.zeros(2 * users, np.int64),
    )
    spent = tuple(date(2024, 3, 1) + timedelta(days=day) for day in range(days))
    shown = Exposures(experiment(), everybody, spent, (), 0, {})
    return Measured(experiment(), (metric,), shown, spent, {metric.name: moments}, {metric.name: 0}, 0)


def only(measured: Measured) -> Compared:
    [found] = compare(measured)
    return found


def test_intervals_at_every_look_hold_for_experiments_without_an_effect() -> None:
    runs = 300
    often = once = 0
    for seed in range(runs):
        looks = only(lived(seed, 0.0)).cumulative
        assert all(look.always is not None for look in looks)
        often += any(look.always is not None and not look.always[0] <= 0 <= look.always[1] for look in looks)
        once += any(not look.low <= 0 <= look.high for look in looks)
    assert often / runs < 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5
    assert once / runs > 0.1  # which is why peeking at the narrow ones is a mistake


def test_a_clear_effect_is_found_and_judged_by_its_direction() -> None:
    better, worse = only(lived(1, 1.0)), only(lived(1, 1.0, metric=DOWN))
    assert (better.verdict, worse.verdict) == ("better", "worse")
    assert better.fixed[0] > better.always[0] > 0
    assert better.effect == pytest.approx(better.value[0] / better.control[0] - 1)
    assert only(lived(2, 0.0)).verdict == "unclear"


def test_an_effect_that_only_one_look_shows_says_so() -> None:
    found = [only(lived(seed, 0.35, users=250)) for seed in range(40)]
    some = [one for one in found if one.verdict == "better at the planned end"]
    assert some
    assert all(one.p_holm < 0.05 <= one.p_always_holm for one in some)


def test_what_is_sought_follows_from_the_first_day_not_from_what_was_found() -> None:
    a = only(lived(3, 0.0))
    first = a.cumulative[0]
    error = (first.high - first.low) / 2 / 1.96
    assert a.sought == pytest.approx(FOUND * error / GROWTH**0.5, rel=0.02)
    [told] = compare(lived(3, 0.0), 0.5)
    assert told.sought == 0.5


def test_detectable_is_what_the_error_allows() -> None:
    one = only(lived(4, 0.0))
    assert one.detectable == pytest.approx(FOUND * (one.fixed[1] - one.fixed[0]) / 2 / 1.96, rel=0.02)


def test_users_are_held_against_the_shares_that_were_meant() -> None:
    assert ratio_of_users(lived(5, 0.0)).p == 1
