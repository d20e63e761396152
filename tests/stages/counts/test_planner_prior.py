"""What a planner says beforehand as what sparse counts are shrunk to."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.types import PlannerPrior, PlannerRows, Sums, Transitions
from freshet.stages.counts import CountModel, HeldOut, choose_prior_counts, likelihood_after_last, towards
from tests.stages.counts.worlds import users

POPULAR = np.array([0.5, 0.3, 0.2])


def prior(successors: list[list[int]], shares: list[list[float]], *, relative: bool = False) -> PlannerPrior:
    """Answers about three interests."""
    with np.errstate(divide="ignore"):
        logp = np.log(np.array(shares, np.float32))
    rows = PlannerRows(
        np.arange(3, dtype=np.int16)[:, None],
        np.zeros((3, 16), np.uint8),
        np.array(successors, np.int16),
        logp,
        np.zeros(3, np.int32),
        ("a planner",),
    )
    return PlannerPrior("version", "a planner", rows, relative)


def test_what_an_answer_leaves_open_follows_popularity() -> None:
    short = prior([[1, -1], [2, 0], [-1, -1]], [[0.6, 0], [0.9, 0.1], [0, 0]])
    found = towards(short, POPULAR, 1.0)
    np.testing.assert_allclose(found[0], [0.4 * 5 / 7, 0.6, 0.4 * 2 / 7], rtol=1e-5)
    np.testing.assert_allclose(found[1], [0.1, 0, 0.9], atol=1e-6)
    np.testing.assert_allclose(found[2], POPULAR)  # not answered
    assert short.answered == 2
    np.testing.assert_allclose(towards(short, POPULAR, 0.25), 0.75 * POPULAR + 0.25 * found)


def test_relative_answers_multiply_popularity() -> None:
    even = prior([[1, 0, 2]] * 3, [[1 / 3] * 3] * 3, relative=True)
    np.testing.assert_allclose(towards(even, POPULAR, 1.0), np.tile(POPULAR, (3, 1)), rtol=1e-5)
    twice = prior([[2, 0, 1]] * 3, [[0.5, 0.25, 0.25]] * 3, relative=True)
    np.testing.assert_allclose(towards(twice, POPULAR, 1.0)[0], np.array([0.5, 0.3, 0.4]) / 1.2, rtol=1e-5)


def model(counted: float, strength: float, rows: np.ndarray | None) -> CountModel:
    """So many moves from 0 to 2, and popularity."""
    popular = Sums(np.zeros((3, 0), np.int16), np.arange(3, dtype=np.int16), 1000 * POPULAR)
    after = Sums(np.zeros((1, 1), np.int16), np.array([2], np.int16), np.array([counted]))
    return CountModel.build([popular], [after], 3, [strength], towards=rows)


def test_counts_outweigh_a_prior_as_they_grow() -> None:
    wrong = np.tile([0.0, 1.0, 0.0], (3, 1))
    shares = [model(counted, 10.0, wrong).last[0] for counted in (0.0, 10.0, 1e6)]
    np.testing.assert_allclose(shares[0], [0, 1, 0])
    np.testing.assert_allclose(shares[1], [0, 0.5, 0.5])
    np.testing.assert_allclose(shares[2], [0, 0, 1], atol=1e-4)
    np.testing.assert_allclose(model(0.0, 10.0, None).last[0], model(0.0, 10.0, None).base)


@pytest.mark.parametrize("right", [True, False])
def test_held_out_moves_tell_a_right_prior_from_a_wrong_one(right: bool) -> None:
    """Everybody moves from 0 to 2; the log has one other move."""
    said = np.tile([0.0, 0.05, 0.95] if right else [0.0, 0.95, 0.05], (3, 1))
    sums = [Sums(np.zeros((1, 1), np.int16), np.array([1], np.int16), np.array([1.0]))]
    held = Transitions.on_days(
        np.arange(50, dtype=np.uint64),
        np.zeros(50, np.int32),
        users(*[(0,)] * 50),
        np.full(50, 2, np.int16),
        np.tile(np.arange(3) == 0, (50, 1)),
    )

    def held_out(rows: np.ndarray | None) -> HeldOut:
        popular = Sums(np.zeros((3, 0), np.int16), np.arange(3, dtype=np.int16), 1000 * POPULAR)
        return HeldOut(lambda s: CountModel.build([popular], sums, 3, s, towards=rows), sums, held, rows)

    with_prior, without = (likelihood_after_last([held_out(rows)]) for rows in (said, None))
    assert (with_prior > without) == right
    if right:
        assert choose_prior_counts([held_out(said)], 1) == (300.0,)
