"""Sorting engagements by (user, time, interest) in a few passes over memory."""

from __future__ import annotations

import numpy as np
from numba import njit

from freshet.stages.transitions.day_files import Rows


def arranged(rows: Rows) -> Rows:
    """Engagements sorted by (user, time, interest).

    User keys are hashes, so a counting sort by their upper bits leaves a row or two per slot, which are then
    put in order; quickest where a user's rows come in order of time already.
    """
    out = np.empty_like(rows)
    if len(rows):
        _arrange(rows["user"], rows["time"], rows["interest"], out["user"], out["time"], out["interest"])
    return out


def first_of_equals(rows: Rows) -> Rows:
    """Sorted engagements without repetitions."""
    distinct: Rows = rows[_first_of_equals(rows["user"], rows["time"], rows["interest"])]
    return distinct


@njit(cache=True, nogil=True)
def _arrange(user, time, interest, to_user, to_time, to_interest):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    rows = len(user)
    least, most = user[0], user[0]
    for i in range(rows):
        least = min(least, user[i])
        most = max(most, user[i])
    shift = np.uint64(0)
    while (most - least) >> shift > np.uint64(rows):
        shift += np.uint64(1)
    starts = np.zeros(int((most - least) >> shift) + 2, np.int64)
    for i in range(rows):
        starts[((user[i] - least) >> shift) + np.uint64(1)] += 1
    for i in range(1, len(starts)):
        starts[i] += starts[i - 1]
    order = np.empty(rows, np.int64)
    for i in range(rows):  # rows of one slot keep their order
        slot = (user[i] - least) >> shift
        order[starts[slot]] = i
        starts[slot] += 1
    start = 0
    for end in starts[:-1]:  # each slot's start has moved to its end
        gap = 1
        while gap < (end - start) // 3:
            gap = 3 * gap + 1
        while gap:  # Shell's sort: quick where a slot is in order already, safe where it holds a busy user
            for i in range(start + gap, end):
                row, j = order[i], i
                while j - gap >= start and _after(user, time, interest, order[j - gap], row):
                    order[j] = order[j - gap]
                    j -= gap
                order[j] = row
            gap //= 3
        start = end
    for i in range(rows):
        row = order[i]
        to_user[i], to_time[i], to_interest[i] = user[row], time[row], interest[row]


@njit(cache=True, nogil=True)
def _after(user, time, interest, a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """Whether row a comes after row b."""
    if user[a] != user[b]:
        return user[a] > user[b]
    if time[a] != time[b]:
        return time[a] > time[b]
    return interest[a] > interest[b]


@njit(cache=True, nogil=True)
def _first_of_equals(user, time, interest):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    new = np.ones(len(user), np.bool_)
    for i in range(1, len(user)):
        new[i] = user[i] != user[i - 1] or time[i] != time[i - 1] or interest[i] != interest[i - 1]
    return new
