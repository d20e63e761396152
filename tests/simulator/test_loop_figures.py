"""Figures of offers whose answers are known by hand, and an effect that is known by construction."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.simulator.loop_figures import figures, oracle_figures, sessions_before
from freshet.simulator.people import People
from freshet.simulator.slot import Habits
from freshet.simulator.slot_impressions import ORACLES, Impressions
from freshet.simulator.world import World


def offers_of(user, arm, outcome, expected, best, day=None) -> Impressions:
    n = len(user)
    none = np.zeros(n, np.int64)
    return Impressions(
        np.array(user),
        np.array(arm),
        np.array(day) if day is not None else none + 1,
        none,
        none + 1,
        none > 0,
        np.array(outcome),
        none,
        np.array(expected, float),
        np.array(best, float),
        np.full(n, 0.1),
        np.outer(expected, 1 + np.arange(len(ORACLES)) / 10),
    )


def test_figures_by_hand() -> None:
    found = figures(
        offers_of([0, 0, 1, 2], [0, 0, 0, 1], [0, 3, 2, 1], [0.2, 0.3, 0.1, 0.4], [0.5, 0.5, 0.1, 0.4]),
        ("static", "hybrid"),
        1,
        np.array([3, 1, 2]),
    )
    static, hybrid = found["static"], found["hybrid"]
    assert (static["users"], static["impressions"], hybrid["users"]) == (2, 3, 1)
    assert static["per_user"]["satisfied"] == 0.5  # one of two people completed one
    assert static["per_impression"]["negative"] == pytest.approx(1 / 3)
    assert static["per_impression"]["regret"] == pytest.approx((0.3 + 0.2 + 0) / 3)
    assert hybrid["per_user"] == pytest.approx(
        {"satisfied": 1, "negative": 0, "expected": 0.4, "regret": 0, "expected_negative": 0.1, "worth": 1}
    )
    assert found["hybrid"]["effect"]["satisfied"]["per_user"]["relative"] == pytest.approx(1.0)
    assert "effect" not in static
    low, high = (hybrid["interval"]["worth"][end] for end in ("low", "high"))
    assert (low, high) == (None, None) or np.isnan([low, high]).all()  # one person tells of no scatter
    low, high = (static["interval"]["satisfied"][end] for end in ("low", "high"))
    assert low < static["per_impression"]["satisfied"] < high


def test_an_arm_is_compared_with_those_before_it_as_with_the_first() -> None:
    rng = np.random.default_rng(4)
    user = np.repeat(np.arange(900), 4)
    arm = user % 3
    chance = np.array([0.2, 0.3, 0.3])[arm]
    outcome = np.where(rng.random(len(user)) < chance, 0, 2)
    made = offers_of(user, arm, outcome, chance, np.full(len(user), 0.5))
    before = np.ones(900, np.int64)
    found = figures(made, ("a", "b", "c"), 1, before)
    assert found["b"].keys() & {"effect", "against"} == {"effect"}
    assert found["c"]["against"].keys() == {"b"}
    told = found["c"]["against"]["b"]
    assert told["expected"]["per_impression"]["relative"] == pytest.approx(0)
    alone = offers_of(*(column[arm > 0] for column in (user, arm - 1, outcome, chance)), np.full(2400, 0.5))
    assert told == figures(alone, ("b", "c"), 1, before)["c"]["effect"]


def test_oracles_by_hand() -> None:
    made = offers_of(
        [0, 0, 1, 2], [0, 0, 1, -1], [0] * 4, [0.2, 0.3, 0.08, 0.4], [0.5, 0.5, 0.2, 0.4], [1, 2, 2, 1]
    )
    found = oracle_figures(made, ("static", "hybrid"), 2)
    assert [*found] == list(ORACLES)
    first = found["truth_first_release"]  # would have been taken as often as what was shown
    assert first["worth"] == pytest.approx((0.4 + 0.6 + 0.4) / 3)  # who takes no part doesn't count
    assert first["by_arm"] == pytest.approx({"static": 0.5, "hybrid": 0.4})
    assert first["by_day"] == pytest.approx([0.4, 0.5])
    assert first["interval"]["low"] < first["worth"] < first["interval"]["high"]
    assert found["truth_last_refresh"]["worth"] == pytest.approx(1.1 * first["worth"])


def test_a_known_effect_is_found_and_cuped_narrows_its_interval() -> None:
    rng = np.random.default_rng(1)
    rate = rng.lognormal(1.0, 0.8, 4000)
    shown = rng.poisson(rate) + 1
    user = np.repeat(np.arange(4000), shown)
    arm = (user % 2).astype(np.int64)
    chance = np.where(arm == 1, 0.3, 0.2)
    outcome = np.where(rng.random(len(user)) < chance, 0, 2)
    made = offers_of(user, arm, outcome, chance, np.full(len(user), 0.5), day=np.ones(len(user), np.int64))
    effect = figures(made, ("a", "b"), 1, rng.poisson(4 * rate))["b"]["effect"]["satisfied"]
    for found in effect.values():
        assert found["low"] < 0.5 < found["high"]
        assert found["low"] > 0.2
    wide, narrow = (effect[key]["variance"] for key in ("per_user", "per_user_cuped"))
    assert narrow < 0.7 * wide


def test_sessions_before_are_those_that_came() -> None:
    people = People(World(themes=8, items=80, users=50, days=40), Habits())
    found = sessions_before(people, 30)
    assert found.sum() == sum(len(people.coming(hour)[0]) for hour in range(2 * 24, 30 * 24))
    assert len(found) == 50
