"""What another policy would have earned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.errors import InputError
from freshet.experiments.stats.off_policy import Logged, doubly_robust, ips, self_normalised

VALUE = np.array([[0.2, 0.5, 0.8], [0.6, 0.3, 0.1]])  # (contexts, actions) mean reward
LOGGING = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
TARGET = np.array([[0.1, 0.3, 0.6], [0.7, 0.2, 0.1]])
TRUTH = float((VALUE * TARGET).sum(axis=1).mean())


def bandit(seed: int, users: int, each: int = 4, model: np.ndarray = VALUE) -> Logged:
    """SIMULATED log of two contexts and three actions; users differ in how easily they are pleased."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(users, dtype=np.uint64), each)
    context = rng.integers(0, 2, len(user))
    action = (rng.random(len(user))[:, None] > LOGGING[context].cumsum(axis=1)).sum(axis=1)
    mood = np.repeat(rng.uniform(0.5, 1.2, users), each) / 0.85
    reward = (rng.random(len(user)) < VALUE[context, action] * mood).astype(float)
    return Logged(
        user,
        reward,
        LOGGING[context, action],
        TARGET[context, action],
        model[context, action],
        (model * TARGET).sum(axis=1)[context],
    )


@pytest.mark.parametrize("estimate", [ips, self_normalised, doubly_robust])
def test_the_truth_is_found_and_held(estimate: object) -> None:
    found = [estimate(bandit(seed, 200)) for seed in range(300)]
    assert np.mean([one.value.value for one in found]) == pytest.approx(TRUTH, abs=0.01)
    assert 0.91 < np.mean([one.value.low <= TRUTH <= one.value.high for one in found]) < 0.985
    logged = float((VALUE * LOGGING).sum(axis=1).mean())
    held = [one.lift.low <= TRUTH - logged <= one.lift.high for one in found]
    assert 0.91 < np.mean(held) < 0.985


def test_a_wrong_model_costs_width_and_not_truth() -> None:
    right = [doubly_robust(bandit(seed, 200)).value for seed in range(200)]
    wrong = [doubly_robust(bandit(seed, 200, model=3 - 3 * VALUE)).value for seed in range(200)]
    assert np.mean([one.value for one in wrong]) == pytest.approx(TRUTH, abs=0.02)
    assert np.var([one.value for one in right]) < 0.7 * np.var([one.value for one in wrong])


def test_by_hand() -> None:
    """Weights 2, 1/2, 1 over three users; rewards 1, 1, 0."""
    logged = Logged(
        np.arange(3, dtype=np.uint64),
        np.array([1.0, 1, 0]),
        np.array([0.25, 1, 0.5]),
        np.array([0.5, 0.5, 0.5]),
    )
    found = ips(logged)
    assert found.value.value == pytest.approx(2.5 / 3)
    assert found.value.variance == pytest.approx(np.var([2, 0.5, 0], ddof=1) / 3)
    assert found.lift.value == pytest.approx(0.5 / 3)
    assert found.support.effective == pytest.approx(3.5**2 / 5.25)
    assert found.support.covered.value == pytest.approx(3.5 / 3)
    assert (found.support.largest, found.support.rows, found.support.users) == (2, 3, 3)
    assert self_normalised(logged).value.value == pytest.approx(2.5 / 3.5)
    assert "too few" in found.note


@given(st.integers(0, 50), st.floats(-5, 5))
def test_the_policy_that_logged_earns_what_was_logged(seed: int, more: float) -> None:
    logged = bandit(seed, 30)
    same = replace(logged, target=logged.propensity, reward=logged.reward + more)
    for estimate in (ips, self_normalised):
        found = estimate(same)
        assert found.value.value == pytest.approx(same.reward.mean())
        assert found.lift.value == pytest.approx(0, abs=1e-9)
        assert found.lift.variance == pytest.approx(0, abs=1e-12)


@given(st.integers(0, 50), st.floats(-5, 5))
def test_self_normalised_moves_with_the_reward(seed: int, more: float) -> None:
    logged = bandit(seed, 30)
    moved = self_normalised(replace(logged, reward=logged.reward + more))
    assert moved.value.value == pytest.approx(self_normalised(logged).value.value + more)


def test_rows_of_one_user_are_not_taken_for_independent() -> None:
    logged = bandit(0, 100)
    twice = replace(
        logged, **{name: np.tile(getattr(logged, name), 2) for name in ("user", "reward", "propensity", "target")},
        model=None, expected=None,
    )  # fmt: skip
    assert self_normalised(twice).value.variance == pytest.approx(self_normalised(logged).value.variance)


def test_what_could_not_be_logged_is_told() -> None:
    """The target takes action 2 at 60 % in context 0, which the logging policy never does there."""
    logged = bandit(1, 2000)
    never = (logged.target == 0.6) | (logged.propensity == 0.1)
    kept = Logged(
        logged.user[~never], logged.reward[~never], logged.propensity[~never], logged.target[~never],
        unseen=np.full(int((~never).sum()), 0.3),
    )  # fmt: skip
    found = ips(kept)
    assert found.support.covered.high < 0.9
    assert found.support.unseen == pytest.approx(0.3)
    assert "could not be logged" in found.note
    assert ips(logged).note == ""
    assert ips(logged).support.unseen is None


def test_without_exploration_half_a_target_is_half_unsupported() -> None:
    """Propensity 1 throughout, and no chance in it: what the target does elsewhere is left out for certain."""
    logged = bandit(1, 50)
    half = replace(logged, propensity=np.ones(len(logged.reward)), target=np.full(len(logged.reward), 0.5))
    assert "50% of the target's actions could not be logged" in ips(half).note


def test_clipping_is_told() -> None:
    logged = bandit(2, 2000)
    found = ips(logged, most=2.0)
    weight = logged.target / logged.propensity
    assert found.support.clipped == pytest.approx((weight > 2).mean())
    assert found.support.cut == pytest.approx(1 - np.minimum(weight, 2).sum() / weight.sum())
    assert found.support.largest == pytest.approx(6)
    assert found.value.value < ips(logged).value.value
    assert "cut off" in found.note


def test_wrong_propensities_are_suspected() -> None:
    logged = bandit(3, 2000)
    assert "real propensities" in ips(replace(logged, propensity=logged.propensity / 2)).note


def test_a_target_that_takes_no_logged_action_has_no_value() -> None:
    logged = bandit(4, 50)
    found = self_normalised(replace(logged, target=np.zeros(len(logged.target))))
    assert np.isnan(found.value.value)
    assert "nothing can be said" in found.note


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("propensity", 0.0, r"row 7: propensity is 0.0, expected in \(0, 1\]"),
        ("propensity", np.nan, "row 7: propensity is nan"),
        ("target", 1.5, r"row 7: target probability is 1.5, expected in \[0, 1\]"),
        ("reward", np.inf, "row 7: reward is inf"),
    ],
)
def test_rows_that_can_not_be_weighed_are_refused(column: str, value: float, words: str) -> None:
    logged = bandit(5, 50)
    changed = getattr(logged, column).copy()
    changed[7] = value
    with pytest.raises(InputError, match=words):
        replace(logged, **{column: changed})


def test_what_does_not_fit_is_refused() -> None:
    logged = bandit(6, 50)
    with pytest.raises(InputError, match="target has 3 rows"):
        replace(logged, target=logged.target[:3])
    with pytest.raises(InputError, match="needs `model`"):
        doubly_robust(replace(logged, model=None))
    none = np.zeros(0)
    with pytest.raises(InputError, match="nothing was logged"):
        Logged(none.astype(np.uint64), none, none, none)
