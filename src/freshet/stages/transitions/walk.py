"""The definition of a transition, as one pass over a user's engagements.

A *step* is all engagements of one user with one timestamp. At each step every interest the user has not
engaged within the last H days is a successor; the context is taken before the step. Interests of one step
have no order among themselves, so they enter the user's history in a seeded shuffle.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.core.time import DAY
from freshet.core.types import RECENT
from freshet.stages.transitions.day_files import Rows, transition_type

NEVER = np.int64(-(2**62))
EVER = np.int64(2**61)
"""A horizon that no two real timestamps are apart: 'novel' then means never engaged before."""


@njit(cache=True)
def _mix(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """splitmix64: a fixed, well-spread hash, so that the shuffle is the same everywhere."""
    x = np.uint64(x + np.uint64(0x9E3779B97F4A7C15))
    x = np.uint64((x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9))
    x = np.uint64((x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB))
    return x ^ (x >> np.uint64(31))


@njit(cache=True)
def place_in_step(user, time, interest, seed):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # pragma: no cover - compiled
    """Where an interest stands among those of its step: a number to order by, higher is more recent."""
    return _mix(_mix(user ^ np.uint64(time)) ^ np.uint64(interest) ^ seed)


@njit(cache=True, nogil=True)
def _walk(user, time, interest, emit, horizon, seed, last, first_day, starts, ends, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover
    out_user, out_time, out_recent, out_successor, out_known = out
    rows, width = len(user), out_known.shape[1]
    # (days + 1,) starts, ends: of each day's rows in the output, which has room for all that may be reported
    for i in range(rows):
        starts[time[i] // DAY - first_day + 1] += emit[i]
    for day in range(1, len(starts)):
        starts[day] += starts[day - 1]
    for day in range(len(starts)):  # arrays are copied in loops: numba takes a second to compile each slice
        ends[day] = starts[day]
    # last: (N,) when this user last engaged each interest; history: their distinct interests, latest first
    history = np.empty(len(last), np.int16)
    length = 0
    start = 0
    alone = np.zeros(1, np.int64)
    while start < rows:
        if start == 0 or user[start] != user[start - 1]:
            for j in range(length):
                last[history[j]] = NEVER
            length = 0
        now = time[start]
        end = start + 1
        while end < rows and user[end] == user[start] and time[end] == now:
            end += 1

        day = now // DAY - first_day
        first = found = ends[day]
        for i in range(start, end):  # novel successors, found before the step enters the history
            if emit[i] and now - last[interest[i]] > horizon:
                out_user[found] = user[i]
                out_time[found] = now
                out_successor[found] = interest[i]
                found += 1
        ends[day] = found
        if found > first:
            for j in range(RECENT):
                out_recent[first, j] = -1
            for j in range(width):
                out_known[first, j] = 0
            for j in range(length):
                if now - last[history[j]] > horizon:
                    break  # ordered by recency: all that follow are older
                if j < RECENT:
                    out_recent[first, RECENT - 1 - j] = history[j]
                out_known[first, history[j] >> 3] |= np.uint8(128 >> (history[j] & 7))
            for i in range(first + 1, found):
                for j in range(RECENT):
                    out_recent[i, j] = out_recent[first, j]
                for j in range(width):
                    out_known[i, j] = out_known[first, j]

        size = end - start
        order = alone  # most steps hold one interest
        if size > 1:
            keys = np.empty(size, np.uint64)
            for i in range(size):
                keys[i] = place_in_step(user[start], now, interest[start + i], seed)
            order = np.argsort(keys)
        for nth in order:
            new = interest[start + nth]
            place = length
            if last[new] == NEVER:
                length += 1
            else:
                place = 0
                while history[place] != new:
                    place += 1
            last[new] = now
            for j in range(place, 0, -1):
                history[j] = history[j - 1]
            history[0] = new
        start = end


def walk(rows: Rows, emit: NDArray[np.bool_], *, interests: int, novelty_days: int | None, seed: int) -> Rows:
    """Find novel successors and the contexts before them.

    Args:
        rows: (n,) engagements sorted by (user, time), distinct within a step, whole users only.
        emit: (n,) rows that may be reported; the others are history only.
        interests: N.
        novelty_days: H in days, None for 'ever'.
        seed: of the shuffle within steps.

    Returns:
        One record (see `transition_type`) per (step, novel successor), by day, then as `rows`.
    """
    found = walk_by_day(rows, emit, interests=interests, novelty_days=novelty_days, seed=seed)
    return np.concatenate([np.empty(0, transition_type(interests)), *found.values()])


def walk_by_day(
    rows: Rows, emit: NDArray[np.bool_], *, interests: int, novelty_days: int | None, seed: int
) -> dict[int, Rows]:
    """As `walk`: day since 1970 -> its records, for every day from the first row's to the last's."""
    if not emit.any():
        return {}
    horizon = EVER if novelty_days is None else np.int64(novelty_days) * np.int64(DAY)
    out = np.empty(int(emit.sum()), transition_type(interests))
    first, last = (int(time) // DAY for time in (rows["time"].min(), rows["time"].max()))
    starts, ends = np.zeros((2, last - first + 2), np.int64)
    _walk(
        rows["user"],
        rows["time"],
        rows["interest"],
        emit,
        horizon,
        np.uint64(seed),
        np.full(interests, NEVER),
        first,
        starts,
        ends,
        tuple(out[name] for name in ("user", "time", "recent", "successor", "known")),
    )
    found = zip(starts.tolist(), ends.tolist(), strict=True)
    return {day: out[start:end] for day, (start, end) in zip(range(first, last + 1), found, strict=False)}
