"""Arms without a fitted mixture: recent popularity, and the raw most frequent successor of the pair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Transitions
from freshet.stages import counts
from freshet.stages.counts.count_model import ContextCounts
from freshet.stages.counts.fitter import CountFitter

HALF_LIVES = tuple(2.0 ** (power / 2) for power in range(-6, 9))
"""Half-lives of popularity that are tried, in windows: 1/8 to 16."""

UNDECAYED = 1e9
"""A half-life in days that leaves counts as they are."""
SMOOTHING = 0.5
"""Pseudo-counts spread by popularity: raw counts rank, and what was never seen still has a likelihood."""


def popularity(fitter: CountFitter, test: Transitions) -> NDArray[np.float64]:
    """(n, N) log-probabilities by recent popularity, at the half-life that was best on held-out transitions.

    Those were counted as long before as counts are in use; see `CountFitter.stretches`.
    """
    snapshot = fitter.log
    tried = [snapshot.scales.window_days * length for length in HALF_LIVES]
    best = tried[fitter.best_popularity(tried)]
    [share] = counts.popularity_of(
        [snapshot.transitions.sums(snapshot.as_of, best, 0)], len(snapshot.interests)
    )
    return counts.log_softmax(np.broadcast_to(np.log(share), test.known.shape), test.known)


def last_successor(fitter: CountFitter, test: Transitions) -> NDArray[np.float64]:
    """(n, N) log-probabilities by how often each successor followed the pair; of the last interest, or
    everybody, for users who have no pair."""
    snapshot, n = fitter.log, len(test)
    base = np.exp(fitter.model(snapshot.as_of).popularity[-1])
    raw = np.zeros((n, len(base)))
    have = np.minimum((test.recent >= 0).sum(axis=1), 2)
    for length in (1, 2):
        sums = snapshot.transitions.sums(snapshot.as_of, UNDECAYED, length)
        rows = have == length
        raw[rows] = ContextCounts.of(sums, len(base)).after(test.recent[rows][:, -length:])
    return counts.log_softmax(np.log(raw + SMOOTHING * base), test.known)
