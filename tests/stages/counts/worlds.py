"""Small worlds of counts for tests."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from freshet.core.types import RECENT, Context, Sums


def sums(rows: dict[tuple[Context, int], float], length: int) -> Sums:
    """(context, successor) -> weight as Sums."""
    ordered = sorted(rows.items())
    return Sums(
        np.array([context for (context, _), _ in ordered], np.int16).reshape(len(ordered), length),
        np.array([successor for (_, successor), _ in ordered], np.int16),
        np.array([weight for _, weight in ordered], np.float64),
    )


def random_sums(interests: int, length: int, seed: int, share: float = 0.5) -> Sums:
    """Counts after a random share of all contexts of a length."""
    rng = np.random.default_rng([seed, length])
    rows = {
        (context, successor): float(rng.integers(1, 9))
        for context in permutations(range(interests), length)
        for successor in range(interests)
        if successor not in context and rng.random() < share
    }
    return sums(rows, length)


def users(*recent: tuple[int, ...]) -> np.ndarray:
    """Recent interests as (n, RECENT), right-aligned."""
    out = np.full((len(recent), RECENT), -1, np.int16)
    for row, interests in zip(out, recent, strict=True):
        if interests:
            row[-len(interests) :] = interests
    return out
