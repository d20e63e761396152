"""The best items of several interests at once, held against numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freshet.stages.items.top_k import best_per_interest

SIZES = st.lists(st.integers(0, 40), min_size=1, max_size=4)


def expected(
    scores: np.ndarray, start: np.ndarray, interests: list[int], hidden: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and log-probabilities by sorting everything."""
    left = scores.astype(np.float64)
    left[hidden] = -np.inf
    numbers = np.full((len(interests), count), -1)
    logp = np.zeros((len(interests), count))
    for row, interest in enumerate(interests):
        own = left[start[interest] : start[interest + 1]]
        order = np.argsort(-own, kind="stable")[:count]
        order = order[own[order] > -np.inf]
        numbers[row, : len(order)] = start[interest] + order
        if len(order):
            logp[row, : len(order)] = own[order] - np.logaddexp.reduce(own)
        left[numbers[row, : len(order)]] = -np.inf
    return numbers, logp


@given(
    sizes=SIZES,
    width=st.integers(0, 70),
    spread=st.sampled_from([0.1, 1.0, 30.0, 1e4]),
    share=st.floats(0, 1),
    count=st.integers(1, 12),
    seed=st.integers(0, 2**16),
)
def test_numbers_and_log_probabilities_are_those_of_a_whole_sort(
    sizes: list[int], width: int, spread: float, share: float, count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    items = int(start[-1])
    # whole and half numbers: sums are exact in any order, so that ties stay ties
    embedding = rng.integers(-4, 5, (items, width)).astype(np.float32)
    state = (rng.integers(-2, 3, width) / 2).astype(np.float32)
    beforehand = np.round(rng.normal(size=items) * spread).astype(np.float32)
    hidden = np.flatnonzero(rng.random(items) < share)
    rng.shuffle(hidden)
    interests = rng.integers(0, len(sizes), rng.integers(1, 5)).tolist()  # one may come twice
    numbers, logp = best_per_interest(
        embedding, state, beforehand, start, np.array(interests, np.int64), hidden, count
    )
    scores = embedding @ state + beforehand if width else beforehand
    wanted, wanted_logp = expected(scores, start, interests, hidden, count)
    assert np.array_equal(numbers, wanted)
    np.testing.assert_allclose(logp, wanted_logp, rtol=2e-6, atol=2e-5)


def test_scores_far_from_zero_lose_nothing_of_the_log_probabilities() -> None:
    beforehand = np.array([4096.0, 4086.0], np.float32)
    _, logp = best_per_interest(
        np.zeros((2, 0), np.float32),
        np.zeros(0, np.float32),
        beforehand,
        np.array([0, 2], np.int64),
        np.zeros(1, np.int64),
        np.zeros(0, np.int64),
        2,
    )
    np.testing.assert_allclose(
        logp[0], [-np.log1p(np.exp(-10)), -10 - np.log1p(np.exp(-10))], rtol=0, atol=1e-6
    )
