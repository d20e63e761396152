"""From scores of all interests to a Ranking."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Ranking, Usage


def best(logp: NDArray[np.float64], top: int, usage: Usage = Usage()) -> Ranking:  # noqa: B008
    """The `top` largest of each row of log-probabilities (n, N), ties by index; -inf is never an answer.

    Returns:
        Ranking with m = min(top, N) columns, -1 where a row has fewer finite entries.
    """
    order = np.argsort(-logp, axis=1, kind="stable")[:, :top]
    scores = np.minimum(np.take_along_axis(logp, order, axis=1), 0.0)
    found = np.isfinite(scores)
    return Ranking(
        np.where(found, order, -1).astype(np.int16),
        np.where(found, scores, -np.inf).astype(np.float32),
        usage,
    )
