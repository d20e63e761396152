"""Items as vectors: what they say and who engages with them, side by side; and how often each is engaged.

Co-engagement: items are alike when the same people engage with them. One user counts for so much at most: the
clicks of a bot are one opinion, however many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

_OVERSAMPLING = 10
_POWER_ITERATIONS = 4


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows scaled to length one; rows of (numerically) nothing become zero."""
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = np.where(norm > 1e-9, vectors / np.maximum(norm, 1e-9), 0.0)
    return scaled


def truncated_svd(
    matrix: scipy.sparse.csr_matrix, rank: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Singular values (r,) and right singular vectors (r, columns), r <= rank, largest first.

    Randomised subspace iteration (Halko, Martinsson, Tropp 2011). Signs are fixed, and directions without
    variance are left out, so equal input gives equal output.
    """
    rank = min(rank, *matrix.shape)
    if rank < 1 or matrix.nnz == 0:
        return np.zeros(0), np.zeros((0, matrix.shape[1]))
    width = min(rank + _OVERSAMPLING, *matrix.shape)
    basis = np.random.default_rng(seed).standard_normal((matrix.shape[1], width))
    for _ in range(_POWER_ITERATIONS):
        basis, _ = np.linalg.qr(matrix.T @ np.linalg.qr(matrix @ basis)[0])
    left, values, right = np.linalg.svd(matrix @ basis, full_matrices=False)
    del left
    directions = right[:rank] @ basis.T  # (rank, columns)
    values = values[:rank]
    peak = np.abs(directions).argmax(axis=1)
    directions *= np.sign(directions[np.arange(len(directions)), peak])[:, None]
    real = values > 1e-6 * values[0]
    return values[real], directions[real]


_DIMENSIONS = 64
_FULL_WEIGHT = 50
"""A user with more items than this counts as if they had so many: a wholesaler is one opinion."""

_SMOOTHING = 3.0
"""Users added to each item's count, so that an item with one user is not defined by that user."""


def co_engagement_vectors(engaged: scipy.sparse.csr_matrix, seed: int) -> NDArray[np.float64]:
    """(items, d) unit vectors from a (users, items) matrix; zero for items without co-engagement.

    The matrix is scaled by 1/sqrt of both margins, which turns co-occurrence into association; the
    direction that is left of popularity itself is taken out.
    """
    activity = np.asarray(engaged.sum(axis=1)).ravel()
    several = scipy.sparse.csr_matrix(engaged[activity > 1])
    activity = activity[activity > 1]
    if several.shape[0] < 2:
        return np.zeros((engaged.shape[1], 0))
    user_weight = np.sqrt(np.minimum(1.0, _FULL_WEIGHT / activity) / activity)
    weighted = scipy.sparse.diags(user_weight) @ several
    support = users_behind(engaged)
    item_weight = np.where(support > 0, 1 / np.sqrt(support + _SMOOTHING), 0.0)
    scaled = scipy.sparse.csr_matrix(weighted @ scipy.sparse.diags(item_weight))
    values, directions = truncated_svd(scaled, _DIMENSIONS + 1, seed)
    return unit(_without_direction(directions, np.sqrt(support)).T * values)


def _without_direction(directions: NDArray[np.float64], removed: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d, items) directions with what they say about one direction in item space taken out."""
    share = directions @ removed  # (d,)
    share /= max(float(np.linalg.norm(share)), 1e-12)
    return np.asarray(directions - np.outer(share, share @ directions))


def users_behind(engaged: scipy.sparse.csr_matrix) -> NDArray[np.float64]:
    """(items,) users who engaged with the item and with at least one other."""
    activity = np.asarray(engaged.sum(axis=1)).ravel()
    counts = np.asarray(engaged[activity > 1].sum(axis=0), np.float64).ravel()
    return counts


_TRUST = 5.0
"""At so many co-engaging users an item's co-engagement vector has half of its full weight."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Unit vectors of n items by what they say and by who engages with them; zero where unknown.

    Attributes:
        text: (n, a)
        co_engagement: (n, b)
        support: (n,) users behind the co-engagement vector.
    """

    text: NDArray[np.float64]
    co_engagement: NDArray[np.float64]
    support: NDArray[np.float64]

    def joined(self, weight: float) -> NDArray[np.float64]:
        """(n, a + b) unit vectors; `weight` in 0..1 is the share of co-engagement in a dot product.

        The share shrinks for items few people engaged with. An item with only one side uses it alone.
        """
        share = weight * self.support / (self.support + _TRUST)
        if weight == 1.0:  # co-engagement alone is configured
            share = (self.support > 0).astype(np.float64)
        parts = (
            np.sqrt(1 - share)[:, None] * self.text,
            np.sqrt(share)[:, None] * self.co_engagement,
        )
        return unit(np.hstack(parts))


def sides(text: NDArray[np.float64], engaged: scipy.sparse.csr_matrix, seed: int) -> Sides:
    """Both sides of n items from their (n, a) text vectors and the (users, n) engagement matrix."""
    return Sides(text, co_engagement_vectors(engaged, seed), users_behind(engaged))


SHARE = 0.1
"""Share of all engagements that one user counts for at most, once everybody is held to it."""
TIMES_USUAL = 10.0
"""A user may count for so many times the usual (median) user in any case, as a log of few users has no crowd;
and for one item for so many times as often as users usually engage the same item."""


def capped_traffic(
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
