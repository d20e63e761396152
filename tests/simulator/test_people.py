"""People who live on: the same rules as the log's, own tastes, fatigue, and a memory that offers change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare

from freshet.core.errors import ConfigError
from freshet.simulator import World
from freshet.simulator.generation import live_through, transitions_of
from freshet.simulator.people import People
from freshet.simulator.slot import Habits
from freshet.simulator.world import next_odds, popularity, truth, truths

WORLD = World(themes=8, items=80, users=400, days=40, turnover_days=15.0, seed=5)


def test_tastes_wander_at_one_pace() -> None:
    """Correlation of log-odds d days apart is 1 - size * (1 - exp(-d / turnover)), wherever one begins."""
    world = World(trends=0.0, drift_size=0.7, turnover_days=20.0, days=90)
    logs = np.log(truths(world) + np.eye(world.themes))
    off = ~np.eye(world.themes, dtype=bool)
    near = np.log(truths(replace(world, contrast=0.0)) + np.eye(world.themes))  # without tastes
    taste = (logs - near)[:, off]
    for start in (0, 40):
        for apart in (5, 20, 45):
            seen = np.corrcoef(taste[start], taste[start + apart])[0, 1]
            assert seen == pytest.approx(1 - 0.7 * (1 - np.exp(-apart / 20)), abs=0.06)


def test_a_static_world_ignores_the_turnover() -> None:
    world = replace(WORLD, drift="static", trends=0.0)
    assert np.array_equal(truth(world, 0), truth(world, 39))
    assert not np.allclose(truth(replace(WORLD, trends=0.0), 0), truth(replace(WORLD, trends=0.0), 39))


def test_truth_is_a_distribution_every_day() -> None:
    found = truths(WORLD)
    assert np.allclose(found.sum(axis=2), 1)
    assert (found >= 0).all()


def test_new_themes_are_taken_up_as_the_truth_says() -> None:
    """First moves of people without a taste of their own, against the truth of their day."""
    world = replace(WORLD, users=4000, drift="static", trends=0.0)
    rows = transitions_of(live_through(People(world, Habits(own_taste=0.0)), range(20)))
    first = (rows.recent[:, 0] < 0) & (rows.recent[:, 1] == 3) & (rows.known.sum(axis=1) == 1)
    seen = np.bincount(rows.successor[first], minlength=8)
    expected = truth(world, 0)[3] * seen.sum()
    assert seen.sum() > 200
    others = np.arange(8) != 3
    assert seen[3] == 0
    assert chisquare(seen[others], expected[others]).pvalue > 0.001


def test_the_truth_of_a_person_is_the_worlds_times_their_own_taste() -> None:
    people = People(WORLD, Habits())
    live_through(people, range(10))
    users, moments = np.arange(50), np.full(50, 10.5)
    users = users[~people.known(users, moments).all(axis=1)]  # to the others everything is as if new
    days, moments = np.full(len(users), 10), moments[: len(users)]
    odds, known = people.odds(users, moments), people.known(users, moments)
    assert len(users) > 20
    assert not odds[known].any()
    common = next_odds(truths(WORLD), popularity(WORLD), days, people.recent[users]) * ~known
    where = odds > 0
    assert np.allclose(odds[where], (common * people.own[users])[where])


def test_in_a_balanced_world_as_many_move_on_to_each_theme_as_popularity_says() -> None:
    world = replace(WORLD, balanced=True, trends=0.0, contrast=1.2)
    follows, popular = truths(world), popularity(world)
    arriving = np.einsum("di,dij->dj", popular, follows)
    assert np.allclose(arriving, popular, atol=1e-8)
    assert (popular == popular[0]).all()
    assert not follows[:, np.arange(8), np.arange(8)].any()
    assert np.abs(follows[0] - follows[-1]).sum(axis=1).mean() > 0.3  # where they come from changes
    loose = truths(replace(world, balanced=False))
    assert not np.allclose(np.einsum("di,dij->dj", popular, loose), popular, atol=0.02)
    # and what decides between two themes after either of two others is what it is in any world
    ratios = [np.log(one[:, 0, 2] * one[:, 1, 3] / one[:, 0, 3] / one[:, 1, 2]) for one in (follows, loose)]
    assert np.allclose(*ratios)


def test_a_theme_that_holds_most_of_all_popularity_leaves_no_balance() -> None:
    alone = World(themes=4, items=8, days=90, balanced=True, trends=40.0, seed=3)
    assert popularity(alone).max() > 0.5
    with pytest.raises(ConfigError, match="can't move on in balance"):
        truths(alone)


def test_offers_tire_and_rest_restores() -> None:
    people = People(WORLD, Habits())
    one = np.array([7])
    levels = []
    for offer in range(5):
        moment = np.array([1 + offer / 24])
        levels.append(float(people.fatigue(one, moment)[0]))
        people.offered(one, np.array([2]), np.array([False]), moment)
    assert levels[0] == 0
    assert (np.diff(levels) > 0).all()
    assert people.fatigue(one, np.array([30.0]))[0] < 1e-3 < levels[-1]
    assert not people.known(one, np.array([2.0])).any()  # what was not taken is still new


def test_what_was_taken_is_known_and_comes_last() -> None:
    people = People(WORLD, Habits())
    both, moments = np.array([3, 4]), np.array([5.0, 5.1])
    people.offered(both, np.array([6, 6]), np.array([True, False]), moments)
    assert people.known(both, moments + 1)[:, 6].tolist() == [True, False]
    assert people.recent[both, 1].tolist() == [6, -1]
    assert people.known(both, moments + 31)[:, 6].tolist() == [False, False]  # forgotten


def test_the_same_seed_lives_the_same_life() -> None:
    lives = [live_through(People(replace(WORLD, seed=seed), Habits()), range(12)) for seed in (5, 5, 6)]
    assert np.array_equal(lives[0].theme, lives[1].theme)
    assert np.array_equal(lives[0].moment, lives[1].moment)
    assert len(lives[0].theme) != len(lives[2].theme) or not np.array_equal(lives[0].theme, lives[2].theme)


def test_nobody_begins_two_sessions_in_an_hour() -> None:
    people = People(WORLD, Habits(sessions=3.0))
    for hour in range(48):
        users, moments = people.coming(hour)
        assert len(np.unique(users)) == len(users)
        assert ((moments >= hour / 24) & (moments < (hour + 1) / 24)).all()


def test_worlds_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="turnover of -1"):
        World(turnover_days=-1.0)
    with pytest.raises(ConfigError, match=r"2\.0 new items"):
        World(new_items=2.0)
