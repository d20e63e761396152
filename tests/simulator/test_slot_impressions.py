"""Oracles know the rules: what each of them knows, and how its worth ages in worlds that drift differently."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from freshet.simulator import World
from freshet.simulator.generation import live_through
from freshet.simulator.loop_plan import STALE, Plan, Preset, preset
from freshet.simulator.people import Lived, People
from freshet.simulator.slot import Habits
from freshet.simulator.slot_impressions import COUNTED_DAYS, ORACLES, Oracles
from freshet.simulator.world import Floats, next_odds, popularity, truths

pytestmark = pytest.mark.slow

DAYS = 7


def world_of(name: str, seed: int, users: int = 800) -> tuple[Plan, People, Oracles]:
    """A world of a preset on the eve of an experiment."""
    chosen = preset(name)
    plan = Plan(name, chosen, chosen.of(DAYS, users, seed), DAYS, ("static", "hybrid"), (1, 4))
    people = People(plan.world, chosen.habits)
    return plan, people, Oracles(plan, people, live_through(people, range(chosen.history)))


def worths(name: str, seeds: range) -> dict[str, float]:
    """Mean worth of every oracle's offers over an experiment without offers, all seeds together."""
    found: list[Floats] = []
    for plan, people, oracles in (world_of(name, seed) for seed in seeds):
        for day in range(1, DAYS + 1):
            today = plan.preset.history + day - 1
            if day in plan.refreshes:
                oracles.refresh(today)
            for hour in range(24 * today, 24 * today + 24):
                users, moments = people.coming(hour)
                best = people.chances(users, np.zeros(len(users), np.int64), moments).best
                found.append(oracles.chances(users, moments) / best[:, None])
                oracles.lived(people.live(users, moments, np.random.default_rng([12, hour])))
    return dict(zip(ORACLES, np.concatenate(found).mean(axis=0).tolist(), strict=True))


def test_where_transitions_drift_popularity_stays_and_a_month_old_truth_does_not() -> None:
    found = worths("transitions", range(50, 54))
    popular = [found[f"popularity_{age}"] for age in ("first_release", "last_refresh", "today")]
    assert max(popular) - min(popular) < 0.06
    assert found["truth_first_release"] < found["truth_last_refresh"] - 0.1
    assert found["truth_last_refresh"] < found["truth_today"]
    assert found["truth_today"] > found["popularity_today"] + 0.15  # there is something to know beyond it


def test_where_popularity_drifts_what_was_popular_a_month_ago_is_worth_little() -> None:
    found = worths("shorts", range(50, 52))
    assert found["popularity_first_release"] < found["popularity_last_refresh"] - 0.08
    assert found["truth_first_release"] < found["popularity_last_refresh"] - 0.08
    assert found["popularity_last_refresh"] > 0.8 * found["truth_today"]  # most of what there is to know


def test_in_the_control_the_truth_has_no_age() -> None:
    chosen = preset("transitions")
    world = chosen.of(DAYS, 200, 3, "static")
    plan = Plan("transitions", chosen, world, DAYS, ("static", "hybrid"), (1,))
    people = People(world, chosen.habits)
    oracles = Oracles(plan, people, live_through(people, range(60)))
    users, moments = np.arange(200), np.full(200, chosen.history + 0.5)
    found = dict(zip(ORACLES, oracles.chances(users, moments).T, strict=True))
    assert np.array_equal(found["truth_first_release"], found["truth_today"])
    assert found["truth_today"].mean() > found["popularity_today"].mean()


def alike(seed: int = 5) -> tuple[Preset, People, Oracles]:
    """People without a taste of their own, so that the truth of today is the best there is."""
    world = World(themes=8, items=80, users=60, days=45, turnover_days=15.0, seed=seed)
    chosen = Preset(world, Habits(own_taste=0.0), history=40)
    people = People(world, chosen.habits)
    history = live_through(people, range(25))
    plan = Plan("alike", chosen, world, 5, ("static", "hybrid"), (1,))
    return chosen, people, Oracles(plan, people, history)


def test_todays_truth_is_the_best_choice_for_people_without_a_taste_of_their_own_and_others_are_not() -> None:
    _, people, oracles = alike()
    users, moments = np.arange(60), np.full(60, 40.5)
    best = people.chances(users, np.zeros(60, np.int64), moments).best
    fresh = ~people.known(users, moments).all(axis=1)
    found = dict(zip(ORACLES, oracles.chances(users, moments).T, strict=True))
    assert np.allclose(found["truth_today"][fresh], best[fresh])
    for name in set(ORACLES) - {"truth_today"}:
        assert (found[name] <= best + 1e-12).all()
        assert found[name].sum() < best.sum()


def test_asking_oracles_changes_nothing() -> None:
    _, people, oracles = alike()
    before = people.engaged.copy(), people.recent.copy()
    users, moments = np.arange(60), np.full(60, 40.5)
    first = oracles.chances(users, moments)
    assert np.array_equal(first, oracles.chances(users, moments))
    assert np.array_equal(before[0], people.engaged)
    assert np.array_equal(before[1], people.recent)


def test_popularity_is_counted_from_what_was_newly_taken_up_in_the_days_before_a_refresh() -> None:
    chosen, people, _ = alike()
    nobody = Lived(
        np.zeros(0, np.int64),
        np.zeros(0),
        np.zeros(0, np.int64),
        np.zeros(0, bool),
        np.zeros((0, 2), np.int64),
        np.zeros((0, 8), bool),
    )
    plan = Plan("alike", chosen, people.world, 5, ("static", "hybrid"), (1,))
    oracles = Oracles(plan, people, nobody)
    people.engaged[:] = -np.inf  # everything is new to everybody
    users, moments = np.arange(5), np.full(5, 40.5)

    def worth_of_theme(theme: int) -> Floats:
        return people.chances(users, np.full(5, theme), moments).taken

    counted, first = (ORACLES.index(f"popularity_{age}") for age in ("last_refresh", "first_release"))
    day = float(chosen.history)
    known = np.zeros((4, 8), bool)
    known[2, 6] = True
    sessions = replace(
        nobody,
        user=np.arange(4),
        moment=np.array([day - 1, day - 2, day - 1, day - 1]),
        theme=np.array([4, 4, 6, 6]),
        liked=np.array([True, True, True, False]),
        recent=np.full((4, 2), -1),
        known=known,
    )
    oracles.lived(sessions)  # theme 6 was known to one and disliked by the other
    oracles.took_up(np.full(9, 7), np.full(9, day - COUNTED_DAYS - 1.0))  # too long ago
    oracles.refresh(chosen.history)
    assert np.array_equal(oracles.chances(users, moments)[:, counted], worth_of_theme(4))
    oracles.took_up(np.full(3, 2), np.full(3, day + 0.5))
    assert np.array_equal(oracles.chances(users, moments)[:, counted], worth_of_theme(4))  # not yet
    oracles.refresh(chosen.history + 1)
    assert np.array_equal(oracles.chances(users, moments)[:, counted], worth_of_theme(2))
    assert np.array_equal(oracles.chances(users, moments)[:, first], worth_of_theme(0))  # knew of nothing


def test_the_first_release_is_a_month_old() -> None:
    """Its truth is that of the day 30 days before the experiment; others pick differently."""
    plan, people, oracles = world_of("shorts", 9, 300)
    first = plan.preset.history - STALE
    users = np.flatnonzero(people.recent[:, 1] >= 0)
    moments = np.full(len(users), float(plan.preset.history))
    known = people.known(users, moments)
    follows, popular = truths(plan.world), popularity(plan.world)
    for day, same in ((first, True), (first + 10, False)):
        odds = next_odds(follows, popular, np.full(len(users), day), people.recent[users])
        themes = np.where(known, -1, odds).argmax(axis=1)
        mine = oracles.chances(users, moments)[:, ORACLES.index("truth_first_release")]
        assert np.array_equal(people.chances(users, themes, moments).taken, mine) == same
