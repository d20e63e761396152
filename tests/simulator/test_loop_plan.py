"""Worlds of experiments: the calibrated one, and the control in which nothing changes."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.errors import ConfigError
from freshet.core.time import DAY, SECOND
from freshet.core.types import Serves
from freshet.simulator.loop_plan import Plan, preset
from freshet.simulator.simulated_log import catalogue_of
from freshet.simulator.world import popularity, truths

SHORTS = preset("shorts")


def plan(*arms: str) -> Plan:
    return Plan("shorts", SHORTS, SHORTS.of(3, 50, 4), 3, arms, (1,))


def test_in_the_control_nothing_changes_that_a_refresh_could_learn() -> None:
    world = SHORTS.of(14, 100, 0, "static")
    follows, popular = truths(world), popularity(world)
    assert (follows == follows[0]).all()
    assert (popular == popular[0]).all()
    assert (catalogue_of(world).release == 0).all()


def test_the_world_itself_drifts_and_trends_and_gets_items_in_the_month_of_staleness() -> None:
    world = SHORTS.of(14, 100, 0)
    first, then = SHORTS.history - 30, SHORTS.history
    follows, popular = truths(world), popularity(world)
    assert np.abs(follows[first] - follows[then]).sum(axis=1).mean() > 0.2
    assert np.abs(popular[first] - popular[then]).sum() > 0.2
    release = catalogue_of(world).release
    assert ((release > first) & (release <= then)).sum() > 50


def test_in_transitions_popularity_stays_and_the_rest_drifts_as_fast_as_in_shorts() -> None:
    made = preset("transitions")
    world, other = made.of(14, 100, 0), SHORTS.of(14, 100, 0)
    follows, popular = truths(world), popularity(world)
    first, then = made.history - 30, made.history
    assert (popular == popular[0]).all()
    assert np.allclose(popular[0] @ follows[first], popular[0] @ follows[then])
    assert np.abs(follows[first] - follows[then]).sum(axis=1).mean() > 0.3
    assert (world.drift_size, world.turnover_days) == (other.drift_size, other.turnover_days)
    control = truths(made.of(14, 100, 0, "static"))
    assert (control == control[0]).all()


def test_what_comes_at_once_comes_in_the_month_of_staleness() -> None:
    world = SHORTS.of(14, 100, 0, "abrupt")
    assert SHORTS.history - 30 < world.change_day < SHORTS.history


def test_seeds_are_other_worlds() -> None:
    assert not np.allclose(popularity(SHORTS.of(14, 100, 0)), popularity(SHORTS.of(14, 100, 1)))


def test_static_is_the_first_release_and_other_arms_are_strategies() -> None:
    made = plan("static", "hybrid-live", "release:2/counts")
    assert [arm.serves for arm in made.experiment().arms] == [
        Serves(1, "hybrid"),
        Serves(None, "hybrid-live"),
        Serves(2, "counts"),
    ]
    assert made.experiment().start == made.start == made.midnight(1)
    assert made.midnight(3) - made.start == 2 * DAY
    assert made.start // SECOND == 1_714_435_200  # 120 days after 2024-01-01


def test_arms_that_make_no_experiment_and_worlds_that_are_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match="can't serve 'best'"):
        plan("static", "best").check()
    with pytest.raises(ConfigError, match="arms static"):
        plan("static").check()
    with pytest.raises(ConfigError, match="no world 'films'"):
        preset("films")
