"""The forward pass for one user, compiled: a request has one history, and numpy's calls would cost more
than the arithmetic. Equal to `SequenceModel.states` up to rounding.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]

EPSILON = np.float32(1e-5)
ZERO = np.float32(0)


@njit(cache=True, nogil=True)
def state(
    recent: NDArray[np.int64],
    embedding: Floats,
    position: Floats,
    attention_norm: Floats,
    asking: Floats,
    giving: Floats,
    forward_norm: Floats,
    inner: Floats,
    inner_bias: Floats,
    outer: Floats,
    outer_bias: Floats,
    last_norm: Floats,
) -> Floats:
    """(d,) what the model makes of one history; zeros for an empty one.

    Args:
        recent: (r,) numbers of recent things, most recent last.
        asking: (L, d, h * d) queries folded with keys; `giving`: (L, h * d, d) values with the way back.
    """
    width = embedding.shape[1]
    out = np.zeros(width, np.float32)
    length = min(len(recent), len(position))
    if length == 0:
        return out
    stream = np.empty((length, width), np.float32)
    for place in range(length):
        row, shift = recent[len(recent) - length + place], len(position) - length + place
        for i in range(width):
            stream[place, i] = embedding[row, i] + position[shift, i]
    normed = np.empty_like(stream)
    for layer in range(len(inner)):
        for place in range(length):
            _norm(stream[place], attention_norm[layer], normed[place])
        # nothing is read from the other positions after the last layer
        first = length - 1 if layer == len(inner) - 1 else 0
        for place in range(first, length):
            _attend(normed, place, asking[layer], giving[layer], stream[place])
            _feed(
                stream[place],
                forward_norm[layer],
                inner[layer],
                inner_bias[layer],
                outer[layer],
                outer_bias[layer],
            )
    _norm(stream[length - 1], last_norm, out)
    return out


@njit(cache=True, nogil=True)
def logits(recent, beforehand, embedding, *weights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN201  # pragma: no cover - compiled
    """(V,) scores of what comes next after one history, -1 padded; `beforehand` is that of an empty one.

    `weights` as in `state`, from `position` on.
    """
    held = recent[recent >= 0].astype(np.int64)
    return np.dot(embedding, state(held, embedding, *weights)) + beforehand


@njit(cache=True, nogil=True)
def _attend(normed: Floats, place: int, asking: Floats, giving: Floats, into: Floats) -> None:
    """Add to a position's stream what it takes from itself and those before it."""
    width = normed.shape[1]
    query = np.zeros(asking.shape[1], np.float32)
    _multiply(normed[place], asking, query)
    mixed = np.zeros(asking.shape[1], np.float32)
    shares = np.empty(place + 1, np.float32)
    for start in range(0, asking.shape[1], width):  # one head
        highest = np.float32(-np.inf)
        for seen in range(place + 1):
            score = ZERO
            for i in range(width):
                score += query[start + i] * normed[seen, i]
            shares[seen] = score
            highest = max(highest, score)
        total = ZERO
        for seen in range(place + 1):
            shares[seen] = np.exp(shares[seen] - highest)
            total += shares[seen]
        for seen in range(place + 1):
            share = shares[seen] / total
            for i in range(width):
                mixed[start + i] += share * normed[seen, i]
    _multiply(mixed, giving, into)


@njit(cache=True, nogil=True)
def _feed(
    stream: Floats, norm: Floats, inner: Floats, inner_bias: Floats, outer: Floats, outer_bias: Floats
) -> None:
    """Add the feed-forward part to a position's stream."""
    normed = np.empty_like(stream)
    _norm(stream, norm, normed)
    hidden = inner_bias.copy()
    _multiply(normed, inner, hidden)
    for i in range(len(hidden)):
        hidden[i] = max(hidden[i], ZERO)
    _multiply(hidden, outer, stream)
    for i in range(len(stream)):
        stream[i] += outer_bias[i]


@njit(cache=True, nogil=True)
def _multiply(row: Floats, matrix: Floats, into: Floats) -> None:
    """into += row @ matrix, in the order in which the matrix lies in memory."""
    for k in range(len(row)):
        factor = row[k]
        if factor != ZERO:
            for i in range(matrix.shape[1]):
                into[i] += factor * matrix[k, i]


@njit(cache=True, nogil=True)
def _norm(row: Floats, scale_and_shift: Floats, into: Floats) -> None:
    """Layer norm."""
    size = np.float32(len(row))
    mean = ZERO
    for value in row:
        mean += value
    mean /= size
    variance = ZERO
    for value in row:
        variance += (value - mean) * (value - mean)
    scale = np.float32(1) / np.sqrt(variance / size + EPSILON)
    for i in range(len(row)):
        into[i] = (row[i] - mean) * scale * scale_and_shift[0, i] + scale_and_shift[1, i]
