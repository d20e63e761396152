"""Co-engagement vectors: items are alike when the same people engage with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from freshet.stages.interests.spectral import truncated_svd, unit

_DIMENSIONS = 64
_FULL_WEIGHT = 50
"""A user with more items than this counts as if they had so many: a wholesaler is one opinion."""

_SMOOTHING = 3.0
"""Users added to each item's count, so that an item with one user is not defined by that user."""


def vectors(engaged: sparse.csr_matrix, seed: int) -> NDArray[np.float64]:
    """(items, d) unit vectors from a (users, items) matrix; zero for items without co-engagement.

    The matrix is scaled by 1/sqrt of both margins, which turns co-occurrence into association; the
    direction that is left of popularity itself is taken out.
    """
    activity = np.asarray(engaged.sum(axis=1)).ravel()
    several = sparse.csr_matrix(engaged[activity > 1])
    activity = activity[activity > 1]
    if several.shape[0] < 2:
        return np.zeros((engaged.shape[1], 0))
    user_weight = np.sqrt(np.minimum(1.0, _FULL_WEIGHT / activity) / activity)
    weighted = sparse.diags(user_weight) @ several
    support = users_behind(engaged)
    item_weight = np.where(support > 0, 1 / np.sqrt(support + _SMOOTHING), 0.0)
    scaled = sparse.csr_matrix(weighted @ sparse.diags(item_weight))
    values, directions = truncated_svd(scaled, _DIMENSIONS + 1, seed)
    return unit(_without(directions, np.sqrt(support)).T * values)


def _without(directions: NDArray[np.float64], removed: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d, items) directions with what they say about one direction in item space taken out."""
    share = directions @ removed  # (d,)
    share /= max(float(np.linalg.norm(share)), 1e-12)
    return np.asarray(directions - np.outer(share, share @ directions))


def users_behind(engaged: sparse.csr_matrix) -> NDArray[np.float64]:
    """(items,) users who engaged with the item and with at least one other."""
    activity = np.asarray(engaged.sum(axis=1)).ravel()
    counts = np.asarray(engaged[activity > 1].sum(axis=0), np.float64).ravel()
    return counts
