"""Short lists: the best candidates, steady, and worth what counts and content give them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.stages.prompts.short_lists import FIRST, KEPT, choose, scale

N = 12


def scores(seed: int, rows: int = 4) -> np.ndarray:
    """Log-probabilities over random candidates."""
    rng = np.random.default_rng(seed)
    logits = np.where(rng.random((rows, N)) < 0.3, -np.inf, rng.normal(size=(rows, N)) * 2)
    logits[0] = -np.inf  # nothing may be offered
    whole = np.logaddexp.reduce(np.where(np.isfinite(logits), logits, -1e9), axis=1, keepdims=True)
    return np.where(np.isfinite(logits), logits - whole, -np.inf)


def nothing(rows: int, size: int) -> np.ndarray:
    return np.full((rows, size), -1, np.int16)


@given(st.integers(0, 1000), st.integers(1, N + 3))
def test_a_first_list_holds_the_best_candidates_in_order(seed: int, size: int) -> None:
    logp = scores(seed)
    options, mass = choose(logp, size, nothing(len(logp), size))
    assert options.shape == (len(logp), min(size, N))
    for row, listed in enumerate(options):
        some = listed[listed >= 0]
        assert len(set(some.tolist())) == len(some) == min(size, int(np.isfinite(logp[row]).sum()))
        assert (np.diff(logp[row, some]) <= 0).all()
        left = np.setdiff1d(np.arange(N), some)
        if len(some) and len(left):
            assert logp[row, left].max() <= logp[row, some].min()
        assert mass[row] == pytest.approx(np.exp(logp[row, some]).sum())
    assert mass[0] == 0.0


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(6, N), st.sampled_from([0.0, KEPT]))
def test_a_list_stays_or_is_the_best_of_now(before: int, now: int, size: int, kept: float) -> None:
    logp = scores(now)
    old, _ = choose(scores(before), size, nothing(4, size))
    options, mass = choose(logp, size, old, kept)
    fresh, best = choose(logp, size, nothing(4, size))
    for row in range(4):
        stays = np.array_equal(options[row], old[row])
        assert stays or np.array_equal(options[row], fresh[row])
        listed = old[row][old[row] >= 0]
        fits = len(listed) == (fresh[row] >= 0).sum() > 0 and np.isfinite(logp[row, listed]).all()
        good = np.exp(logp[row, listed]).sum() >= kept * best[row]
        first = set(fresh[row, :FIRST].tolist()) <= set(old[row].tolist())
        wanted = fits and (not kept or (good and first))
        assert stays == (wanted or np.array_equal(old[row], fresh[row]))
        assert mass[row] == pytest.approx(np.exp(logp[row, options[row][options[row] >= 0]]).sum())


def test_a_list_with_an_interest_that_may_not_be_offered_any_more_is_made_anew() -> None:
    logp = np.log(np.full((1, N), 1 / N))
    old, _ = choose(logp, 6, nothing(1, 6))
    gone = logp.copy()
    gone[0, old[0, -1]] = -np.inf
    options, _ = choose(gone, 6, old, 0.0)
    assert old[0, -1] not in options[0]


def test_answers_that_stand_alone_get_the_share_of_their_list() -> None:
    share = np.array([0.25, 1.0])
    np.testing.assert_allclose(scale(share, np.zeros((2, 1)), N), share)


@given(st.integers(0, 500))
def test_relative_answers_get_the_share_after_popularity_was_multiplied(seed: int) -> None:
    """Worked out in full: what is not listed is lifted evenly, and all is made to sum to one."""
    rng = np.random.default_rng(seed)
    popularity = rng.dirichlet(np.full(N, 20.0))
    listed = rng.permutation(N)[:5]
    answer, share = rng.dirichlet(np.ones(5)), rng.uniform(0.05, 0.95)
    [mass] = scale(np.array([share]), np.log(answer)[None], N, popularity[listed][None])
    lift = np.full(N, (1 - mass) / (N - 5))
    lift[listed] = mass * answer
    told = lift * popularity
    assert told[listed].sum() / told.sum() == pytest.approx(share, abs=1e-5)


def test_a_row_without_an_answer_has_a_scale_all_the_same() -> None:
    empty = np.full((1, 3), -np.inf)
    found = scale(np.array([0.4]), empty, N, np.full((1, 3), 0.1))
    assert np.isfinite(found).all()
