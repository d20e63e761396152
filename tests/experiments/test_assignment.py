"""Assignment: sticky, as shares say, independent of every other experiment, unmoved by more traffic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from freshet.core.types import Experiment, ExperimentArm, Serves, user_number
from freshet.experiments.assignment import OwnEvents, arm_of, arms_of

USERS = np.array([user_number(f"user{n:06d}") for n in range(40_000)], np.uint64)


def made(salt: str, *shares: float, traffic: float = 1.0) -> Experiment:
    arms = tuple(ExperimentArm(f"arm{n}", share, Serves()) for n, share in enumerate(shares))
    return Experiment("one", salt, arms, traffic, ("satisfied",), 1_000, 1)


def test_shares_are_those_asked_for() -> None:
    found = arms_of(made("a", 0.2, 0.3, 0.5), USERS)
    assert chisquare(np.bincount(found), np.array([0.2, 0.3, 0.5]) * len(USERS)).pvalue > 0.001


@pytest.mark.parametrize("salt", ["a", "b", "another"])
def test_one_user_at_a_time_is_the_same(salt: str) -> None:
    experiment = made(salt, 0.5, 0.25, 0.25, traffic=0.6)
    names = [arm.name for arm in experiment.arms]
    some = USERS[:500]
    alone = [arm_of(experiment, int(user)) for user in some]
    places = [-1 if arm is None else names.index(arm.name) for arm in alone]
    assert places == arms_of(experiment, some).tolist()


def test_experiments_are_independent() -> None:
    one, other = arms_of(made("first", 0.5, 0.5), USERS), arms_of(made("second", 0.5, 0.5), USERS)
    both = np.histogram2d(one, other, bins=2)[0]
    assert chi2_contingency(both).pvalue > 0.001
    assert chi2_contingency(np.histogram2d(one, one, bins=2)[0]).pvalue < 1e-9  # it can tell


def test_taking_part_says_nothing_of_the_arm() -> None:
    whole, part = made("x", 0.5, 0.5), made("x", 0.5, 0.5, traffic=0.3)
    taking, arm = arms_of(part, USERS) >= 0, arms_of(whole, USERS)
    assert abs(taking.mean() - 0.3) < 0.01
    assert chi2_contingency(np.histogram2d(taking, arm, bins=2)[0]).pvalue > 0.001


@given(st.text(max_size=12), st.floats(0.01, 1), st.floats(0.01, 1))
def test_more_traffic_moves_nobody(salt: str, a: float, b: float) -> None:
    less, more = sorted((a, b))
    few = arms_of(made(salt, 0.5, 0.5, traffic=less), USERS[:300])
    many = arms_of(made(salt, 0.5, 0.5, traffic=more), USERS[:300])
    assert (many[few >= 0] == few[few >= 0]).all()


def test_own_events_are_all_but_those_of_the_other_arms_since_the_start() -> None:
    experiment = replace(made("s", 0.5, 0.5, traffic=0.5), start=100)
    place = arms_of(experiment, USERS)
    kept = OwnEvents(experiment, "arm1")
    early, late = np.full(len(USERS), 99), np.full(len(USERS), 100)
    assert kept(USERS, early).all()
    assert (kept(USERS, late) == (place != 0)).all()
    assert 0 < (~kept(USERS, late)).sum() < len(USERS)
