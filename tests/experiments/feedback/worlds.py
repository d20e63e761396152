"""Outcomes of proposals, made up with known lifts."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from freshet.core.types import Outcomes

DAY = 86_400_000_000
SIZE = 6

Row = tuple[tuple[int, int], int, int, bool]
"""(context, shown, place, reward)"""

contexts = st.tuples(st.integers(-1, SIZE - 1), st.integers(-1, SIZE - 1)).map(
    lambda pair: (-1, -1) if pair[1] < 0 else pair
)
rows_of = st.lists(
    st.tuples(contexts, st.integers(0, SIZE - 1), st.integers(0, 12), st.booleans()), min_size=1, max_size=60
)


def outcomes(rows: list[Row], score: float = -1.0) -> Outcomes:
    """One user and one second per row."""
    return Outcomes(
        np.array([context for context, _, _, _ in rows], np.int16).reshape(-1, 2),
        np.array([shown for _, shown, _, _ in rows], np.int16),
        np.array([place for _, _, place, _ in rows], np.int32),
        np.full(len(rows), score),
        np.array([reward for *_, reward in rows], bool),
        np.arange(len(rows), dtype=np.int64) * 1_000_000,
        np.arange(len(rows), dtype=np.uint64),
    )


def drawn(size: int, lift: NDArray[np.float64], seed: int = 0, appeal: float = 0.5) -> Outcomes:
    """Outcomes whose odds are those of a score, of how well a successor is taken anywhere (`appeal` at the most
    and least), of a lift by (last, shown), and of the place.
    """
    rng = np.random.default_rng(seed)
    context = rng.integers(0, SIZE, (size, 2)).astype(np.int16)
    shown, place = rng.integers(0, SIZE, size), rng.integers(0, 3, size)
    score = rng.normal(-3, 1, size)
    own = np.linspace(-appeal, appeal, SIZE)
    odds = -1 + own[shown] - 0.4 * place + (score + 3) * 0.5 + lift[context[:, 1], shown]
    reward = rng.random(size) < 1 / (1 + np.exp(-odds))
    return Outcomes(
        context,
        shown.astype(np.int16),
        place.astype(np.int32),
        score,
        reward,
        np.arange(size, dtype=np.int64) * 1_000_000,
        rng.integers(0, size // 3, size).astype(np.uint64),
    )


def some_lift(strength: float, seed: int = 1) -> NDArray[np.float64]:
    """(N, N) lifts by (last, shown) that cancel out for every successor."""
    found = strength * np.random.default_rng(seed).normal(size=(SIZE, SIZE))
    return np.asarray(found - found.mean(axis=0))
