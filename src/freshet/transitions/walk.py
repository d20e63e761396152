"""The definition of a transition, as one pass over a user's engagements.

A *step* is all engagements of one user with one timestamp. At each step every interest the user has not
engaged within the last H days is a successor; the context is taken before the step. Interests of one step
have no order among themselves, so they enter the user's history in a seeded shuffle.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.types import RECENT

NEVER = np.int64(-(2**62))
EVER = np.int64(2**61)
"""A horizon that no two real timestamps are apart: 'novel' then means never engaged before."""


class Steps(NamedTuple):
    """Novel successors found by `walk`; see `freshet.types.Transitions` for the shapes."""

    user: NDArray[np.uint64]
    time: NDArray[np.int64]
    recent: NDArray[np.int16]
    successor: NDArray[np.int16]
    known: NDArray[np.uint8]


@njit(cache=True)
def _mix(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """splitmix64: a fixed, well-spread hash, so that the shuffle is the same everywhere."""
    x = np.uint64(x + np.uint64(0x9E3779B97F4A7C15))
    x = np.uint64((x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9))
    x = np.uint64((x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB))
    return x ^ (x >> np.uint64(31))


@njit(cache=True)
def _walk(user, time, interest, emit, interests, horizon, seed):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover
    rows = len(user)
    room = 0
    for i in range(rows):
        room += emit[i]
    width = (interests + 7) // 8
    out_user = np.empty(room, np.uint64)
    out_time = np.empty(room, np.int64)
    out_recent = np.full((room, RECENT), np.int16(-1))
    out_successor = np.empty(room, np.int16)
    out_known = np.zeros((room, width), np.uint8)

    last = np.full(interests, NEVER)  # when this user last engaged each interest
    history = np.empty(RECENT, np.int16)  # distinct interests, most recent first
    length = 0
    found = 0
    start = 0
    while start < rows:
        if start == 0 or user[start] != user[start - 1]:
            last[:] = NEVER
            length = 0
        now = time[start]
        end = start + 1
        while end < rows and user[end] == user[start] and time[end] == now:
            end += 1

        first = found
        for i in range(start, end):  # novel successors, judged before the step enters the history
            if emit[i] and now - last[interest[i]] > horizon:
                out_user[found] = user[i]
                out_time[found] = now
                out_successor[found] = interest[i]
                found += 1
        if found > first:
            for j in range(length):
                if now - last[history[j]] > horizon:
                    break  # ordered by recency: all that follow are older
                out_recent[first, RECENT - 1 - j] = history[j]
            for j in range(interests):
                if now - last[j] <= horizon:
                    out_known[first, j >> 3] |= np.uint8(128 >> (j & 7))
            for i in range(first + 1, found):
                out_recent[i] = out_recent[first]
                out_known[i] = out_known[first]

        size = end - start
        keys = np.empty(size, np.uint64)
        for i in range(size):
            keys[i] = _mix(_mix(user[start] ^ np.uint64(now)) ^ np.uint64(interest[start + i]) ^ seed)
        for i in np.argsort(keys):
            new = interest[start + i]
            last[new] = now
            place = 0
            while place < length and history[place] != new:
                place += 1
            if place == length and length < RECENT:
                length += 1
            place = min(place, RECENT - 1)
            for j in range(place, 0, -1):
                history[j] = history[j - 1]
            history[0] = new
        start = end
    return (
        out_user[:found],
        out_time[:found],
        out_recent[:found],
        out_successor[:found],
        out_known[:found],
    )


def walk(
    user: NDArray[np.uint64],
    time: NDArray[np.int64],
    interest: NDArray[np.int16],
    emit: NDArray[np.bool_],
    *,
    interests: int,
    novelty_days: int | None,
    seed: int,
) -> Steps:
    """Find novel successors and the contexts before them.

    Args:
        user: (n,) user keys; rows sorted by (user, time), whole users only.
        time: (n,) microseconds since 1970.
        interest: (n,) interest index, distinct within a step.
        emit: (n,) rows that may be reported; the others are history only.
        interests: N.
        novelty_days: H in days, None for 'ever'.
        seed: of the shuffle within steps.

    Returns:
        One row per (step, novel successor); `known` is packed to bits, big-endian within a byte.
    """
    horizon = EVER if novelty_days is None else np.int64(novelty_days) * np.int64(86_400_000_000)
    return Steps(*_walk(user, time, interest, emit, interests, horizon, np.uint64(seed)))
