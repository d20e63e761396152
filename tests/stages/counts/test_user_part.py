"""Rows of single users on top of a mixture: of whom they speak, and the same for one user and for many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.types import RECENT, PlannerRows, UserRows, pack_contexts
from freshet.stages.counts import Scorer, SingleUserScorer, UserPart
from tests.stages.counts.test_planner_score import rows
from tests.stages.counts.test_single_user_scorer import N, scorer
from tests.stages.counts.worlds import users

CONTEXTS = [(0, 1, 2), (2, 1, 0), (4, 3, 1)]


def user_rows(k: int = RECENT) -> UserRows:
    """Users 10, 20 and 2**63 + 1, asked about with three interests each."""
    answers = {CONTEXTS[0]: {3: 0.6, 4: 0.3}, CONTEXTS[1]: {4: 0.5}, CONTEXTS[2]: {0: 0.2, 2: 0.7}}
    return UserRows(np.array([10, 20, 2**63 + 1], np.uint64), rows(answers, k))


def with_rows(mixture: Scorer, relative: bool, k: int = RECENT) -> Scorer:
    popularity = np.array([0.1, 0.3, 0.2, 0.25, 0.15]) if relative else None
    return replace(mixture, users=UserPart(user_rows(k), np.array([0.7, 0.6]), popularity))


def numbers(*found: int) -> np.ndarray:
    return np.array(found, np.uint64)


def test_a_row_speaks_of_its_user_until_they_engage_something_else() -> None:
    found = user_rows()
    asked = [10, 20, 2**63 + 1, 11, 10, 10, 10, 10]
    now = users((0, 1, 2), (2, 1, 0), (4, 3, 1), (0, 1, 2), (1, 2), (0, 1, 2, 4), (0, 2, 1), ())
    # itself three times; nobody's; what was oldest is no longer recent; something new; another order; nothing
    assert found.of(numbers(*asked), now).tolist() == [0, 1, 2, -1, 0, -1, -1, -1]


def test_without_rows_nobody_has_one() -> None:
    nothing = PlannerRows(
        np.zeros((0, 3), np.int16),
        np.zeros((0, 16), np.uint8),
        np.zeros((0, 4), np.int16),
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.int32),
        (),
    )
    nobody = UserRows(numbers(), nothing)
    assert nobody.of(numbers(1, 2), users((0,), (1, 2))).tolist() == [-1, -1]


def test_rows_of_few_interests_compare_the_last_ones() -> None:
    rows_of_two = UserRows(numbers(10), rows({(1, 2): {3: 1.0}}, 2))
    now = users((0, 1, 2), (4, 1, 2), (1, 0, 2), (2,))
    assert rows_of_two.of(numbers(10, 10, 10, 10), now).tolist() == [0, 0, -1, 0]


@pytest.mark.parametrize("relative", [False, True])
def test_the_score_is_a_sum_of_logarithms_over_what_is_no_candidate(relative: bool) -> None:
    mixture = with_rows(scorer(2, 1, "alone"), relative)
    now, excluded = users((0, 1, 2), (0, 1, 2)), np.zeros((2, N), bool)
    excluded[:, :3] = True
    plain = replace(mixture, users=None)(now, excluded)
    found = mixture(now, excluded, user=numbers(10, 11))
    np.testing.assert_array_equal(found.fused[1], plain.fused[1])  # nobody's row
    part = mixture.users
    assert part is not None
    own = part.feature(np.array([0]), np.exp(plain.count[:1]))[0].astype(np.float64)
    mixed = 0.7 * plain.fused[0, 3:] + 0.6 * own[3:]
    np.testing.assert_allclose(found.fused[0, 3:], mixed - np.log(np.exp(mixed).sum()), atol=1e-6)
    assert np.isneginf(found.fused[0, :3]).all()
    everything = part.feature(np.array([0]), np.full((1, N), 1 / N))[0].astype(np.float64)
    assert np.exp(everything).sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(mixture(now, excluded).fused, plain.fused)  # users that are not known


@pytest.mark.parametrize("planner", ["", "relative"])
@pytest.mark.parametrize("k", [3, RECENT])
@settings(max_examples=40)
@given(
    user=st.sampled_from([10, 20, 2**63 + 1, 11]),
    recent=st.one_of(
        st.sampled_from([*CONTEXTS, (1, 2), (3, 0, 1, 2)]),
        st.lists(st.integers(0, N - 1), unique=True, max_size=N).map(tuple),
    ),
    excluded=st.sets(st.integers(0, N - 1), max_size=N - 1),
    relative=st.booleans(),
    beside=st.booleans(),
)
def test_one_user_compiled_gets_the_same(
    planner: str,
    k: int,
    user: int,
    recent: tuple[int, ...],
    excluded: set[int],
    relative: bool,
    beside: bool,
) -> None:
    mixture = with_rows(scorer(2, 3, planner, beside=beside or bool(planner)), relative, k)
    packed, barred = users(recent), np.zeros((1, N), bool)
    barred[0, list(excluded)] = True
    expected = mixture(packed, barred, user=numbers(user))
    found = SingleUserScorer(mixture)(packed[0], barred[0], user=user)
    np.testing.assert_allclose(found.fused, expected.fused[0], atol=1e-5)
    assert mixture.users is not None
    row = int(mixture.users.rows.of(numbers(user), packed)[0])
    assert found.row == row
    assert (found.own is None) == (row < 0)
    if row >= 0:
        own = mixture.users.feature(np.array([row]), np.exp(expected.count))[0]
        np.testing.assert_allclose(found.own, own, atol=1e-5)
    nobody = SingleUserScorer(mixture)(packed[0], barred[0])
    assert nobody.row == -1
    np.testing.assert_allclose(nobody.fused, mixture(packed, barred).fused[0], atol=1e-5)


def test_contexts_are_packed_as_they_were_asked() -> None:
    np.testing.assert_array_equal(user_rows(3).rows.contexts, pack_contexts(CONTEXTS, 3))
