"""What a ranker learns from and is judged on: the items a user engaged, and what they had engaged before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.core.time import DAY
from freshet.stages.items.item_log import Engagements

NEVER = np.int64(-(2**62))
EVER = np.int64(2**61)


@dataclass(frozen=True, slots=True)
class Rows:
    """n items that their users engaged for the first time, in the order of time.

    Attributes:
        user: (n,) number of the user.
        day: (n,) days since 1970.
        recent: (n, R) numbers of the items engaged last before the step, distinct, most recent last,
            right-aligned, -1 padded.
        item: (n,) what was engaged.
        novel: (n,) whether its interest was novel to the user.
        step: (n,) number that the rows of one user, moment and interest share.
    """

    user: NDArray[np.int64]
    day: NDArray[np.int32]
    recent: NDArray[np.int32]
    item: NDArray[np.int32]
    novel: NDArray[np.bool_]
    step: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.item)

    def take(self, chosen: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Rows:
        """The chosen rows."""
        return Rows(
            self.user[chosen],
            self.day[chosen],
            self.recent[chosen],
            self.item[chosen],
            self.novel[chosen],
            self.step[chosen],
        )


@njit(cache=True, nogil=True)
def _walk(user, time, item, interest, horizon, last, out_recent, out_novel, out_fresh):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    # history: a user's distinct items, latest first; of those that fell out of it, `seen` still knows
    seen = set([np.int32(-1)])  # noqa: C405
    history = np.empty(out_recent.shape[1], np.int32)
    length, start = 0, 0
    while start < len(user):
        if start == 0 or user[start] != user[start - 1]:
            seen = set([np.int32(-1)])  # noqa: C405
            length = 0
            last[:] = NEVER
        end = start + 1
        while end < len(user) and user[end] == user[start] and time[end] == time[start]:
            end += 1
        for i in range(start, end):
            out_fresh[i] = item[i] not in seen
            out_novel[i] = time[i] - last[interest[item[i]]] > horizon
            for j in range(length):
                out_recent[i, out_recent.shape[1] - 1 - j] = history[j]
        for i in range(start, end):
            last[interest[item[i]]] = time[i]
            seen.add(item[i])
            place = 0
            while place < length and history[place] != item[i]:
                place += 1
            if place == length:
                length = min(length + 1, len(history))
            for j in range(min(place, length - 1), 0, -1):
                history[j] = history[j - 1]
            history[0] = item[i]
        start = end


def rows(log: Engagements, interest: NDArray[np.int16], recent: int, novelty_days: int | None) -> Rows:
    """Every first engagement of a user with an item, with what came before its step.

    Args:
        interest: (V,) index of the interest of each item.
        recent: R.
        novelty_days: H, None = 'ever'.
    """
    n = len(log)
    found = np.full((n, recent), -1, np.int32)
    novel, fresh = np.zeros(n, bool), np.zeros(n, bool)
    horizon = EVER if novelty_days is None else np.int64(novelty_days) * np.int64(DAY)
    last = np.full(int(interest.max(initial=0)) + 1, NEVER)
    _walk(log.user, log.time, log.item, interest, horizon, last, found, novel, fresh)
    place = np.stack([log.user, log.time, interest[log.item].astype(np.int64)])
    order = np.lexsort(place[::-1])
    new = np.ones(n, bool)
    new[1:] = (np.diff(place[:, order], axis=1) != 0).any(axis=0)
    step = np.empty(n, np.int64)
    step[order] = np.cumsum(new) - 1
    every = Rows(log.user, log.day, found, log.item, novel, step)
    return every.take(np.flatnonzero(fresh)[np.argsort(log.time[fresh], kind="stable")])
