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
def _best_of_interests(embedding, state, beforehand, start, interests, ineligible, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    numbers = np.full((len(interests), count), -1, np.int64)
    logp = np.zeros((len(interests), count), np.float32)
    for row in range(len(interests)):
        first, end = start[interests[row]], start[interests[row] + 1]
        scores = beforehand[first:end].copy()
        if len(state):
            scores += np.dot(embedding[first:end], state)
        for i in range(end - first):
            if ineligible[first + i]:
                scores[i] = -np.inf
        places, found = best(scores, count)
        for j in range(len(places)):
            numbers[row, j], logp[row, j] = first + places[j], found[j]
            ineligible[first + places[j]] = True
    return numbers, logp


def best_per_interest(
    embedding: NDArray[np.float32],
    state: NDArray[np.float32],
    beforehand: NDArray[np.float32],
    start: NDArray[np.int64],
    interests: NDArray[np.int64],
    ineligible: NDArray[np.bool_],
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The best items of each interest that are eligible, best first; each is ineligible from then on.

    Args:
        embedding: (V, d); state: (d,) of the user, or empty where histories say nothing.
        beforehand: (V,) added to what the history says.
        start: (N + 1,) where the items of each interest begin; interests: (r,).

    Returns:
        Numbers (r, count), -1 where there are no more, and their log-probabilities within the interest.
    """
    numbers, logp = _best_of_interests(embedding, state, beforehand, start, interests, ineligible, count)
    return numbers, logp


def best_of(scores: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """`best` with its types."""
    places, logp = best(scores, count)
    return places, logp
