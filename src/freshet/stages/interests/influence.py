"""How much one user may count for the traffic of items: a bot's clicks are one opinion, however many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHARE = 0.1
"""Share of all engagements that one user counts for at most, once everybody is held to it."""
TIMES_USUAL = 10.0
"""A user may count for so many times the usual (median) user in any case, as a log of few users has no crowd;
and for one item for so many times as often as users usually engage the same item."""


def traffic(
    user: NDArray[np.int64], item: NDArray[np.int64], count: NDArray[np.int64], items: int
) -> NDArray[np.float64]:
    """(items,) engagements of each item, without what a single user adds beyond measure.

    Args:
        user, item, count: (n,) how often a user engaged an item, each pair once; users are numbered from 0
            without gaps.
    """
    if not len(user):
        return np.zeros(items)
    held = np.minimum(count, TIMES_USUAL * float(np.median(count)))
    each = np.bincount(user, held)
    limit = max(TIMES_USUAL * float(np.median(each)), _fair(np.sort(each)))
    weight = np.minimum(1.0, limit / each)
    return np.bincount(item, held * weight[user], items).astype(np.float64)


def _fair(ascending: NDArray[np.float64]) -> float:
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
