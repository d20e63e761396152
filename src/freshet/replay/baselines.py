"""Arms without a fitted mixture: recent popularity, and the raw most frequent successor of the pair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from freshet import counts
from freshet.counts.model import ContextCounts
from freshet.steps.counting import Counting
from freshet.types import Transitions

UNDECAYED = 1e9
"""A half-life in days that leaves counts as they are."""
SMOOTHING = 0.5
"""Pseudo-counts spread by popularity: raw counts rank, and what was never seen still has a likelihood."""


def popularity(counting: Counting, test: Transitions) -> NDArray[np.float64]:
    """(n, N) log-probabilities by recent popularity, at the half-life that was best on held-out windows."""
    totals = np.zeros(len(counting.known.scales.half_lives))
    for window in counting.windows:
        model, rows = counting.model(window.start), np.arange(len(window.held))
        for i, shares in enumerate(model.popularity):
            scores = np.broadcast_to(shares, window.held.known.shape)
            totals[i] += counts.log_softmax(scores, window.held.known)[rows, window.held.successor].sum()
    best = counting.model(counting.known.as_of).popularity[int(totals.argmax())]
    return counts.log_softmax(np.broadcast_to(best, test.known.shape), test.known)


def last_successor(counting: Counting, test: Transitions) -> NDArray[np.float64]:
    """(n, N) log-probabilities by how often each successor followed the pair; of the last interest, or
    everybody, for users who have no pair."""
    known, n = counting.known, len(test)
    base = np.exp(counting.model(known.as_of).popularity[-1])
    raw = np.zeros((n, len(base)))
    have = np.minimum((test.recent >= 0).sum(axis=1), 2)
    for length in (1, 2):
        sums = known.transitions.sums(known.as_of, UNDECAYED, length)
        rows = have == length
        raw[rows] = ContextCounts.of(sums, len(base)).after(test.recent[rows][:, -length:])
    return counts.log_softmax(np.log(raw + SMOOTHING * base), test.known)
