"""How strongly sparse counts are shrunk: the pseudo-counts that predict held-out transitions best."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from freshet.counts.mixture import log_softmax
from freshet.counts.model import CountModel
from freshet.types import Transitions

GRID = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Pseudo-counts tried, about evenly spaced on the log scale."""

Build = Callable[[Sequence[float]], CountModel]


def choose_strengths(windows: Sequence[tuple[Build, Transitions]], k: int) -> tuple[float, ...]:
    """Strengths for context lengths 1..k, chosen one after the other by held-out likelihood.

    Args:
        windows: for each held-out window, a builder of the counts before it and its transitions.
        k: context length.
    """
    chosen: list[float] = []
    for length in range(1, k + 1):
        rest = [GRID[3]] * (k - length)
        scores = [_likelihood(windows, [*chosen, value, *rest], length) for value in GRID]
        chosen.append(GRID[int(np.argmax(scores))])
    return tuple(chosen)


def _likelihood(
    windows: Sequence[tuple[Build, Transitions]], strengths: Sequence[float], length: int
) -> float:
    """Log-likelihood of the feature of that context length alone."""
    total = 0.0
    for build, held in windows:
        complete = held.recent[:, -length] >= 0
        if not complete.any():
            continue
        model = build(strengths)
        column = len(model.popularity) + length - 1
        logp = log_softmax(
            model.features(held.recent[complete])[:, column].astype(np.float64), held.known[complete]
        )
        total += float(logp[np.arange(len(logp)), held.successor[complete]].sum())
    return total
