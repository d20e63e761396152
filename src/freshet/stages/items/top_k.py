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
    places = _places_of_best(scores, count)
    found = len(places)
    highest = scores[places[0]] if found else scores.dtype.type(0)
    total = 0.0
    for i in range(len(scores)):
        if scores[i] > -np.inf:
            total += np.exp(np.float64(scores[i] - highest))
    logp = np.empty(found, np.float32)
    for j in range(found):
        logp[j] = scores[places[j]] - (highest + np.log(total))
    return places, logp


@njit(cache=True, nogil=True)
def _places_of_best(scores, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """Places (m,) of the highest finite scores, best first, equal ones in their order."""
    size = len(scores)
    places = np.empty(min(count, size), np.int64)
    found = 0
    for i in range(size):
        score = scores[i]
        if score == -np.inf:
            continue
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
    return places[:found]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _best_of_interests(embedding, state, beforehand, start, interests, hidden, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    numbers = np.full((len(interests), count), -1, np.int64)
    logp = np.zeros((len(interests), count), np.float32)
    for row in range(len(interests)):
        first, end = start[interests[row]], start[interests[row] + 1]
        scores = np.empty(end - first, np.float32)
        for i in range(first, end):
            total = beforehand[i]
            for k in range(len(state)):
                total += embedding[i, k] * state[k]
            scores[i - first] = total
        _hide(scores, first, hidden)
        for earlier in range(row):
            _hide(scores, first, numbers[earlier])  # where an interest is asked for twice
        places = _places_of_best(scores, count)
        if len(places):
            highest = scores[places[0]]
            # in float64: beside a large score float32 rounds the log-probability off
            whole = np.float64(highest) + np.log(np.float64(_odds(scores, highest)))
            for j in range(len(places)):
                numbers[row, j], logp[row, j] = first + places[j], np.float64(scores[places[j]]) - whole
    return numbers, logp


@njit(cache=True, nogil=True)
def _hide(scores, first, numbers):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    for number in numbers:
        if first <= number < first + len(scores):
            scores[number - first] = -np.inf


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _odds(scores, highest):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """Sum of the exponentials of float32 scores less the highest, to 1e-6 of it.

    By the polynomial of Cephes' expf, without a branch: several at once, in a fifth of the time.
    """
    bits = np.empty(len(scores), np.int32)
    power = bits.view(np.float32)
    total = np.float32(0)
    for i in range(len(scores)):
        less = max(scores[i] - highest, np.float32(-87))  # below it is nothing beside the highest's 1
        whole = np.floor(less * np.float32(1.44269504) + np.float32(0.5))
        bits[i] = (np.int32(whole) + 127) << 23  # two to the power of it
        rest = less - whole * np.float32(0.693359375) + whole * np.float32(2.12194440e-4)
        found = np.float32(1.9875691500e-4)
        found = found * rest + np.float32(1.3981999507e-3)
        found = found * rest + np.float32(8.3334519073e-3)
        found = found * rest + np.float32(4.1665795894e-2)
        found = found * rest + np.float32(1.6666665459e-1)
        found = found * rest + np.float32(5.0000001201e-1)
        total += (found * rest * rest + rest + np.float32(1)) * power[i]
    return total


def best_per_interest(
    embedding: NDArray[np.float32],
    state: NDArray[np.float32],
    beforehand: NDArray[np.float32],
    start: NDArray[np.int64],
    interests: NDArray[np.int64],
    hidden: NDArray[np.int64],
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The best items of each interest, best first, none of them twice.

    What it reads grows with the interests asked for, not with the catalogue.

    Args:
        embedding: (V, d); state: (d,) of the user, or empty where histories say nothing.
        beforehand: (V,) added to what the history says.
        start: (N + 1,) where the items of each interest begin; interests: (r,).
        hidden: (h,) numbers of items that are not eligible, in any order.

    Returns:
        Numbers (r, count), -1 where there are no more, and their log-probabilities among the eligible ones
        of the interest.
    """
    numbers, logp = _best_of_interests(embedding, state, beforehand, start, interests, hidden, count)
    return numbers, logp


def best_of(scores: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """`best` with its types."""
    places, logp = best(scores, count)
    return places, logp
