"""The best of some scores and their log-probabilities, compiled: a request asks for it per interest."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def best(scores, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # pragma: no cover - compiled
    """Places (m,) of the highest finite scores, best first, and their log-probabilities (m,) among all.

    Equal scores stand in the order of their places; m is `count`, or how many are finite.
    """
    size = len(scores)
    places = np.empty(min(count, size), np.int64)
    highest = -np.inf
    found = 0
    for i in range(size):
        score = scores[i]
        if score == -np.inf:
            continue
        highest = max(highest, score)
        if found == len(places):
            if found == 0 or score <= scores[places[found - 1]]:
                continue
            found -= 1
        place = found
        while place > 0 and scores[places[place - 1]] < score:
            places[place] = places[place - 1]
            place -= 1
        places[place] = i
        found += 1
    total = 0.0
    for i in range(size):
        if scores[i] > -np.inf:
            total += np.exp(np.float64(scores[i] - highest))
    logp = np.empty(found, np.float32)
    for j in range(found):
        logp[j] = scores[places[j]] - (highest + np.log(total))
    return places[:found], logp


@njit(cache=True, nogil=True)
def _eligible(embedding, state, beforehand, engaged, barred, start, end, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    scores = beforehand[start:end].copy()
    if len(state):
        scores += np.dot(embedding[start:end], state)
    for i in range(end - start):
        if barred[start + i]:
            scores[i] = -np.inf
    places, logp = best(scores, count)
    return places + start, logp, engaged[start:end][places]


def eligible(
    embedding: NDArray[np.float32],
    state: NDArray[np.float32],
    beforehand: NDArray[np.float32],
    engaged: NDArray[np.bool_],
    barred: NDArray[np.bool_],
    start: int,
    end: int,
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """The best items from number `start` to `end` that are not barred, best first.

    Args:
        embedding: (V, d); state: (d,) of the user, or empty where histories say nothing.
        beforehand: (V,) added to what the history says; engaged, barred: (V,).

    Returns:
        Numbers (m,), log-probabilities among all that are not barred, and whether anybody engaged each.
    """
    numbers, logp, known = _eligible(embedding, state, beforehand, engaged, barred, start, end, count)
    return numbers, logp, known


def best_of(scores: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """`best` with its types."""
    places, logp = best(scores, count)
    return places, logp
