"""Random places of interests and users in both spaces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Centroids

TEXT, ENGAGED = 4, 3
"""Widths of the two spaces."""


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows of length one."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def random_centroids(interests: int, seed: int) -> Centroids:
    """Of interests, of which nobody engaged with the last."""
    rng = np.random.default_rng([seed, 1])
    text, engaged = (unit(rng.normal(size=(interests, width))) for width in (TEXT, ENGAGED))
    engaged[-1] = 0
    return Centroids(text, engaged)


def random_profile(seed: int, text: bool, engaged: bool) -> NDArray[np.float32]:
    """(a + b,) of a user whose items are known in some of the spaces."""
    rng = np.random.default_rng([seed, 2])
    parts = [unit(rng.normal(size=(1, width)))[0] for width in (TEXT, ENGAGED)]
    return np.concatenate([part * known for part, known in zip(parts, (text, engaged), strict=True)])
