"""The user context: recent interests, and what is not new to the user, by a remembered history.

The same definition as in `freshet.stages.transitions.walk`, where it is counted over the whole log.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.core.time import DAY
from freshet.core.types import RECENT, BoolArray
from freshet.stages.transitions.walk import EVER, NEVER, place_in_step


@dataclass(frozen=True, slots=True)
class UserContext:
    """A user at a moment.

    Attributes:
        recent: (RECENT,) distinct interests engaged within H, most recent last, right-aligned, -1 padded.
        known: (N,) interests engaged within H: not novel.
        engaged: (N,) when each was engaged last, in microseconds since 1970; far in the past where never.
    """

    recent: NDArray[np.int16]
    known: BoolArray
    engaged: NDArray[np.int64]


def horizon(novelty_days: int | str) -> int:
    """H in microseconds."""
    return int(EVER) if novelty_days == "ever" else int(novelty_days) * DAY


def context_at(
    interests: NDArray[np.int32],
    times: NDArray[np.int64],
    index: NDArray[np.int16],
    size: int,
    now: int,
    horizon: int,
    user: int,
    seed: int,
) -> UserContext:
    """The context at a moment.

    Args:
        interests: (j,) stable ids of the interests engaged.
        times: (j,) when each was engaged last; later than now counts as now.
        index: interest index by stable id, -1 where there is none; ids beyond its end have none.
        size: N.
        user, seed: decide the order of interests of one step, as when they are counted.
    """
    found = _context_at(interests, times, index, size, now, horizon, np.uint64(user), np.uint64(seed))
    return UserContext(*found)


def context_of_list(interests: NDArray[np.int16], size: int, now: int) -> UserContext:
    """A user known by a list of interests alone, oldest first, all of them engaged lately."""
    engaged = np.full(size, NEVER)
    recent = np.full(RECENT, -1, np.int16)
    held = interests[interests >= 0]
    engaged[held] = now
    # each once, where it stands last
    _, back = np.unique(held[::-1], return_index=True)
    distinct = held[::-1][np.sort(back)][:RECENT][::-1]
    if len(distinct):
        recent[-len(distinct) :] = distinct
    return UserContext(recent, engaged > NEVER, engaged)


@njit(cache=True, nogil=True)
def _context_at(interests, times, index, size, now, horizon, user, seed):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover
    engaged = np.full(size, NEVER)
    for i in range(len(interests)):
        place = index[interests[i]] if 0 <= interests[i] < len(index) else -1
        if place >= 0:
            engaged[place] = max(engaged[place], times[i])
    known = np.zeros(size, np.bool_)
    recent = np.full(RECENT, np.int16(-1))
    for i in range(size):
        known[i] = engaged[i] > NEVER and now - engaged[i] <= horizon
    unlisted = known.copy()
    for place in range(RECENT - 1, -1, -1):  # the latest that is not listed yet
        best = -1
        best_key = np.uint64(0)
        for i in range(size):
            if not unlisted[i] or (best >= 0 and engaged[i] < engaged[best]):
                continue
            key = place_in_step(user, engaged[i], i, seed)
            if best < 0 or engaged[i] > engaged[best] or key > best_key:
                best, best_key = i, key
        if best < 0:
            break
        recent[place] = best
        unlisted[best] = False
    return recent, known, engaged
