"""The exploration slot: chances are chances, nothing beats the best, and what happens follows them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chisquare

from freshet.simulator.slot import OUTCOMES, TAKEN, Habits, chances, outcomes, surveys, worth_of

HABITS = Habits()
SHARES = st.floats(0, 1)


@given(
    arrays(np.float64, 20, elements=SHARES),
    arrays(np.float64, 20, elements=st.floats(0.01, 20)),
    arrays(np.float64, 20, elements=st.floats(0, 1)),
)
def test_chances_are_chances_and_regret_is_never_negative(worth, appetite, fatigue) -> None:
    found = chances(worth, appetite, fatigue, HABITS)
    assert np.allclose(found.outcomes.sum(axis=1), 1)
    assert (found.outcomes >= -1e-12).all()
    assert (found.outcomes <= 1 + 1e-12).all()
    assert np.allclose(found.outcomes[:, TAKEN].sum(axis=1), found.taken)
    assert (found.regret >= 0).all()


@given(arrays(np.float64, (5, 8), elements=st.floats(0, 1)), arrays(np.bool_, (5, 8)))
def test_the_best_theme_is_worth_one_and_no_other_more(odds, known) -> None:
    known[:, 0], odds[:, 0] = False, 0.5  # something is new to everybody
    worth = worth_of(odds * ~known, known, HABITS)
    assert np.allclose(worth.max(axis=1), 1)
    assert (worth[known] == HABITS.familiar).all()
    best = chances(np.ones(5), np.ones(5), np.zeros(5), HABITS).taken[0]
    assert best == HABITS.taken
    each = chances(worth.ravel(), np.ones(40), np.zeros(40), HABITS)
    assert (each.taken <= best + 1e-12).all()


def test_a_better_theme_is_taken_more_and_disliked_less() -> None:
    worth = np.linspace(0, 1, 11)
    found = chances(worth, np.ones(11), np.zeros(11), HABITS)
    assert (np.diff(found.taken) > 0).all()
    assert (np.diff(found.outcomes[:, OUTCOMES.index("disliked")]) < 0).all()
    tired = chances(worth, np.ones(11), np.full(11, 0.5), HABITS)
    assert (tired.taken[1:] < found.taken[1:]).all()


def test_outcomes_follow_their_chances() -> None:
    n = 40_000
    found = chances(np.full(n, 0.6), np.full(n, 1.2), np.full(n, 0.2), HABITS)
    seen = np.bincount(outcomes(found, np.random.default_rng(3)), minlength=len(OUTCOMES))
    assert chisquare(seen, n * found.outcomes[0]).pvalue > 0.001
    other = chances(np.full(1, 0.5), np.full(1, 1.2), np.full(1, 0.2), HABITS)
    assert chisquare(seen, n * other.outcomes[0]).pvalue < 1e-6  # the test can fail


def test_a_small_share_is_asked_and_says_what_it_felt() -> None:
    rng = np.random.default_rng(4)
    liked = surveys(np.full(20_000, OUTCOMES.index("liked")), HABITS, rng)
    disliked = surveys(np.full(20_000, OUTCOMES.index("disliked")), HABITS, rng)
    assert abs((liked > 0).mean() - HABITS.surveyed) < 0.01
    assert {*np.unique(liked)} <= {0, 1, 2, 3, 4, 5}
    assert liked[liked > 0].mean() > disliked[disliked > 0].mean() + 2
