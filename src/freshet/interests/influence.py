"""How much one user may count: a bot's clicks are one opinion, however many there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHARE = 0.05
"""Share of all engagements that one user counts for at most, once everybody is held to it."""
TIMES_USUAL = 10.0
"""A user may count for so many times the usual (median) user in any case: a log of few users has no crowd."""


def weights(engagements: NDArray[np.int64]) -> NDArray[np.float64]:
    """(users,) how much each engagement of a user counts, from (users,) how many they have; 1 for nearly all."""
    if not len(engagements):
        return np.ones(0)
    limit = max(TIMES_USUAL * float(np.median(engagements)), _fair(np.sort(engagements)))
    return np.asarray(np.minimum(1.0, limit / np.maximum(engagements, 1)))


def _fair(ascending: NDArray[np.int64]) -> float:
    """The largest limit that is `SHARE` of all engagements, those beyond the limit left out; 0 if none is."""
    below = np.concatenate([[0], np.cumsum(ascending)[:-1]])  # engagements of users with fewer
    above = len(ascending) - np.arange(len(ascending))  # users with so many or more
    enough = SHARE * (below + above * ascending) >= ascending
    if not enough.any():
        return 0.0
    last = int(np.flatnonzero(enough)[-1])
    if last == len(ascending) - 1:
        return float(ascending[-1])
    held = above[last + 1]  # all beyond `last` are held to the limit: limit = SHARE * (rest + held * limit)
    return float(SHARE * below[last + 1] / (1 - SHARE * held))
