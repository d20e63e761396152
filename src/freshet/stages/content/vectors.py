"""Items, interests and users in two spaces: what items say, and who engages with them.

A user is the mean of the items engaged last, the most recent counting most. How much that tells about the
next interest was measured for several numbers of items and ways of forgetting (decision 40).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from numba import njit
from numpy.typing import NDArray

from freshet.core.types import BoolArray, Centroids
from freshet.stages.content.item_engagements import ItemEngagements

LAST_ITEMS = 50
"""Items whose mean a user is, at most."""
FADING = 0.95
"""How much an item counts beside the one engaged after it."""
MOST_ENGAGEMENTS = 5_000_000
"""Engagements, the latest, that co-engagement is learned from: more cost minutes and change little."""
Embed = Callable[[scipy.sparse.csr_matrix, int], NDArray[np.float64]]
"""((users, items) matrix, seed) -> (items, d) vectors of items that the same people engage."""

_HALF = np.float32(2.0**112)
"""Makes a float16 of its bits where they stand in a float32: exponents begin elsewhere there."""
_RECENCY = FADING ** np.arange(LAST_ITEMS - 1, -1, -1, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class ContentVectors:
    """V items in both spaces; rows of length one, zero where nothing is known.

    Attributes:
        text: (V, a) float16, what each says.
        engaged: (V, b) float16, who engages with it.
        interest: (V,) index of the interest of each.
        centroids: of the interests.
    """

    text: NDArray[np.float16]
    engaged: NDArray[np.float16]
    interest: NDArray[np.int16]
    centroids: Centroids

    def profiles(self, items: NDArray[np.int32]) -> NDArray[np.float32]:
        """(n, a + b + N) profiles of users, see `ContentView`.

        Args:
            items: (n, m) numbers of the items engaged last, most recent last, right-aligned, -1 padded.
        """
        out = np.zeros((len(items), self.centroids.width), np.float32)
        text, engaged = self.text.view(np.uint16), self.engaged.view(np.uint16)
        _profiles(items, text, engaged, self.interest, _RECENCY, out)
        return out

    def shares(
        self,
        items: NDArray[np.int32],
        weights: NDArray[np.float64],
        interest: int,
        usual: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """(m,) nats that each of a user's last items adds to the score of an interest.

        Args:
            items: (m,) as one row of `profiles`.
            weights: (5,) of the features of `types.CONTENT`.
            usual: (N,) probabilities of the interests: nats beyond what the item adds to them on average.
        """
        usual = np.zeros(len(self.centroids.text)) if usual is None else usual
        of = self.interest[items]
        alike = np.bincount(of, minlength=len(usual))[of]  # the user's items of the same interest
        found = weights[4] * np.log1p(alike) / np.maximum(alike, 1) * ((of == interest) - usual[of])
        recency = np.concatenate([np.zeros(max(0, len(items) - len(_RECENCY)), np.float32), _RECENCY])
        recency = recency[len(recency) - len(items) :]
        spaces = (self.text, self.centroids.text), (self.engaged, self.centroids.engaged)
        for weight, (space, centroids) in zip(weights[:4:2], spaces, strict=True):
            rows = recency[:, None] * space[items].astype(np.float32)
            length = float(np.linalg.norm(rows.sum(axis=0)))
            if length > 0:
                found += weight * (rows @ (centroids[interest] - usual @ centroids)) / length
        return np.asarray(found, np.float64)


def engaged_vectors(
    log: ItemEngagements, items: int, co_engagement: Embed, kept: BoolArray | None = None
) -> NDArray[np.float32]:
    """(V, b) vectors of items by who engaged with them; zero where nobody did.

    Args:
        co_engagement: makes vectors of a (users, items) matrix.
        kept: (n,) which engagements may be learned from, None = all.
    """
    user, time, item = log.user, log.time, log.item
    if kept is not None:
        user, time, item = user[kept], time[kept], item[kept]
    if len(user) > MOST_ENGAGEMENTS:
        latest = np.argpartition(time, -MOST_ENGAGEMENTS)[-MOST_ENGAGEMENTS:]
        user, item = user[latest], item[latest]
    users, row = np.unique(user, return_inverse=True)
    met, column = np.unique(item, return_inverse=True)  # how many others there are must change nothing
    pairs = np.unique(np.stack([row, column]), axis=1)
    shape = len(users), len(met)
    matrix = scipy.sparse.csr_matrix((np.ones(pairs.shape[1]), tuple(pairs)), shape=shape)
    found = co_engagement(matrix, 0)
    vectors = np.zeros((items, found.shape[1]), np.float32)
    vectors[met] = found
    return vectors


def centred(vectors: NDArray[np.float32], items: NDArray[np.int32]) -> NDArray[np.float32]:
    """(V, d) vectors without the mean of some items, of length one; zero stays zero."""
    known = (vectors != 0).any(axis=1)
    some = vectors[items][known[items]]
    mean = some.mean(axis=0) if len(some) else np.zeros(vectors.shape[1], np.float32)
    return _unit(np.where(known[:, None], vectors - mean, np.float32(0)))


def mean_by_interest(
    vectors: NDArray[np.float32], interest: NDArray[np.int64], interests: int
) -> NDArray[np.float32]:
    """(N, d) mean of the vectors of each interest's items, of length one.

    Args:
        interest: (V,) index of the interest of each item, -1 = counts for none.
    """
    total = np.zeros((interests, vectors.shape[1]), np.float64)
    some = interest >= 0
    np.add.at(total, interest[some], vectors[some])
    return _unit(total.astype(np.float32))


@njit(cache=True, nogil=True)
def _profiles(items, text, engaged, interest, recency, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    said = text.shape[1]
    both = said + engaged.shape[1]
    latest = max(0, items.shape[1] - len(recency))
    for row in range(len(items)):
        _add_mean(items[row, latest:], text, recency, out[row, :said])
        _add_mean(items[row, latest:], engaged, recency, out[row, said:both])
        for number in items[row]:
            if number >= 0:
                out[row, both + interest[number]] += np.float32(1)
        for i in range(both, out.shape[1]):
            if out[row, i] > 0:
                out[row, i] = np.float32(np.log1p(out[row, i]))


@njit(cache=True, nogil=True)
def _add_mean(items, space, recency, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """Add to zeros the weighed mean of items, of length one."""
    later = len(recency) - len(items)
    bits = np.empty(len(out), np.uint32)  # compiled code knows no float16
    shifted = bits.view(np.float32)
    for place in range(len(items)):
        if items[place] >= 0:
            weight = recency[later + place] * _HALF
            row = space[items[place]]
            for i in range(len(out)):
                bits[i] = ((np.uint32(row[i]) & 0x8000) << 16) | ((np.uint32(row[i]) & 0x7FFF) << 13)
            for i in range(len(out)):
                out[i] += weight * shifted[i]
    length = np.sqrt((out * out).sum())
    for i in range(len(out)):
        out[i] = out[i] / length if length > np.float32(1e-6) else np.float32(0)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(length > 1e-6, rows / np.maximum(length, np.float32(1e-6)), np.float32(0))
