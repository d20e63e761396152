"""Short lists: the best interests after each context, steady from one refresh to the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

KEPT = 0.95
"""A list stays while it holds so much of the probability that the best list would hold now."""
FIRST = 5
"""And as long as the best of now are on it."""


def choose(
    logp: NDArray[np.float64], size: int, before: NDArray[np.int16], kept: float = KEPT
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """The lists of n contexts, and the probability of each whole list.

    A new list is ordered best first; one that stays keeps its order, so that its prompt stays the same.

    Args:
        logp: (n, N) log-probabilities now, -inf for what is no candidate.
        size: interests of a list, at most.
        before: (n, size) the lists before, -1 where there was none.
        kept: see `KEPT`; 0 keeps every list whose interests still are candidates.

    Returns:
        (n, size) interests, -1 padded, and (n,) probabilities.
    """
    size = min(size, logp.shape[1])
    best = np.argsort(-logp, axis=1, kind="stable")[:, :size]
    found = np.isfinite(np.take_along_axis(logp, best, axis=1))
    fresh = np.where(found, best, -1).astype(np.int16)
    mass = _mass(logp, fresh)
    before = before[:, :size]
    whole = ((before >= 0).sum(axis=1) == found.sum(axis=1)) & found[:, 0]
    whole &= np.isfinite(
        np.where(before >= 0, np.take_along_axis(logp, np.maximum(before, 0), axis=1), 0)
    ).all(axis=1)
    held = _mass(logp, before)
    first = fresh[:, :FIRST]
    on = (first[:, :, None] == before[:, None, :]).any(axis=2) | (first < 0)
    stays = whole & (held >= kept * mass)
    if kept:
        stays &= on.all(axis=1)
    return np.where(stays[:, None], before, fresh), np.where(stays, held, mass)


def scale(
    share: NDArray[np.float64],
    logp: NDArray[np.float32] | NDArray[np.float64],
    interests: int,
    popularity: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """(n,) what the probabilities of answers are multiplied by, so that each list gets its share.

    Answers that are relative to popularity get it after both were multiplied, when all interests that are not
    listed are taken to be as popular as they are.

    Args:
        share: (n,) probability of the whole list.
        logp: (n, m) the answers, -inf where fewer were found.
        interests: N.
        popularity: (n, m) shares of the interests listed in an answer, where answers are relative to it.
    """
    if popularity is None:
        return share.astype(np.float32)
    listed = np.isfinite(logp)
    popular = np.where(listed, popularity, 0.0)
    inside = (np.exp(np.where(listed, logp, -np.inf)) * popular).sum(axis=1)
    others = np.maximum(interests - listed.sum(axis=1), 1)
    outside = np.maximum(1.0 - popular.sum(axis=1), 0.0) / others
    whole = share * outside + (1.0 - share) * inside
    return np.where(whole > 0, share * outside / np.maximum(whole, 1e-300), share).astype(np.float32)


def _mass(logp: NDArray[np.float64], options: NDArray[np.int16]) -> NDArray[np.float64]:
    listed = np.exp(np.take_along_axis(logp, np.maximum(options, 0).astype(np.int64), axis=1))
    return np.asarray(np.where(options >= 0, listed, 0.0).sum(axis=1))
