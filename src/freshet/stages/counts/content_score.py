"""Content as features of the mixture: how near candidate interests are to a user's items and interests.

Both spaces work alike. A user is the mean of the items engaged last, and again the mean of the recent
interests' centroids; a feature is the cosine of one of these with a candidate's centroid. Where no item of a
user is known, the interests stand in for the items: then both features say the same. One more feature tells
how many items of a candidate the user engaged long ago.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.core.types import CONTENT, Centroids

NOBODY = np.zeros(0, np.float32)
"""The profile of a user of whom no item is known."""


def content_features(
    centroids: Centroids, recent: NDArray[np.int16], profiles: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """(n, 5, N) the features of `types.CONTENT` in their order, for n users.

    Args:
        recent: (n, R) recent interests, most recent last, -1 padded.
        profiles: (n, a + b + N) see `ContentView`; None = no item of anybody is known.
    """
    out = np.empty((len(recent), len(CONTENT), len(centroids.text)), np.float32)
    start = 0
    for place, space in enumerate((centroids.text, centroids.engaged)):
        end = start + space.shape[1]
        interests = _mean_of(space, recent)
        items = interests if profiles is None else profiles[:, start:end]
        known = (items != 0).any(axis=1, keepdims=True)
        out[:, 2 * place] = np.where(known, items, interests) @ space.T
        out[:, 2 * place + 1] = interests @ space.T
        start = end
    out[:, -1] = 0.0 if profiles is None else profiles[:, start:]
    return out


def has_profile(profiles: NDArray[np.float32] | None, users: int) -> NDArray[np.bool_]:
    """(n,) whether any item of each user is known."""
    return np.zeros(users, bool) if profiles is None else np.asarray((profiles != 0).any(axis=1))


def content_weights(names: Sequence[str], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(5,) weights of the features of `types.CONTENT`, those of a mixture; 0 where it has none."""
    by_name = dict(zip(names, weights.tolist(), strict=True))
    return np.array([by_name.get(name, 0.0) for name in CONTENT])


def _mean_of(space: NDArray[np.float32], recent: NDArray[np.int16]) -> NDArray[np.float32]:
    """(n, d) mean centroid of recent interests, of length one; zero where there are none."""
    total = np.zeros((len(recent), space.shape[1]), np.float32)
    for column in recent.T:
        total += np.where(column[:, None] >= 0, space[column], np.float32(0))
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.maximum(length, np.float32(1e-9)), np.float32(0))


@njit(cache=True, nogil=True)
def user_content_score(recent, profile, weights, text, engaged):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # pragma: no cover - compiled
    """(N,) weighted sum of the features of one user; `weights` as `content_weights` has them."""
    said = text.shape[1]
    both = said + engaged.shape[1]
    out = np.float32(weights[4]) * profile[both:]
    _add_space(recent, profile[:said], weights[:2], text, out)
    _add_space(recent, profile[said:both], weights[2:4], engaged, out)
    return out


@njit(cache=True, nogil=True)
def _add_space(recent, items, weights, space, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    if weights[0] == 0 and weights[1] == 0:
        return
    width = space.shape[1]
    query = np.zeros(width, np.float32)
    for interest in recent:
        if interest >= 0:
            for i in range(width):
                query[i] += space[interest, i]
    length = np.sqrt((query * query).sum())
    known = False
    for value in items:
        if value != 0:
            known = True
    own = weights[1] if known else weights[0] + weights[1]
    scale = np.float32(own / length) if length > 0 else np.float32(0)
    for i in range(width):
        query[i] *= scale
        if known:
            query[i] += np.float32(weights[0]) * items[i]
    out += np.dot(space, query)
