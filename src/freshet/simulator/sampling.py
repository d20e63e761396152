"""Drawing by weights, many rows at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def draw(odds: Floats, rng: np.random.Generator) -> Ints:
    """One column for each row of (rows, columns) odds, which need not sum to one; some must be positive."""
    edges = np.cumsum(odds, axis=1)
    below = edges <= rng.random(len(odds))[:, None] * edges[:, -1:]
    return np.asarray(np.minimum(below.sum(axis=1), odds.shape[1] - 1))


def normalised(odds: Floats) -> Floats:
    """Odds divided by their sum along the last axis."""
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True))
