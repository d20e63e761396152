"""What users engaged last before a moment: the same definition as in `walk`, for everybody at one moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.core.time import DAY
from freshet.core.types import RECENT, AsOf
from freshet.stages.transitions.day_files import Rows
from freshet.stages.transitions.walk import place_in_step


@dataclass(frozen=True, slots=True)
class RecentInterests:
    """Users as they were at a moment.

    Attributes:
        user: (n,) numbers, ascending.
        recent: (n, RECENT) distinct interests engaged within H, most recent last, -1 padded.
        days_ago: (n,) days since the last engagement.
        engaged: (n,) how often each had engaged an interest within H.
    """

    user: NDArray[np.uint64]
    recent: NDArray[np.int16]
    days_ago: NDArray[np.float64]
    engaged: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> RecentInterests:
        """Some of the users, in the order of the rows."""
        return RecentInterests(self.user[rows], self.recent[rows], self.days_ago[rows], self.engaged[rows])


def recent_interests(rows: Rows, moment: AsOf, seed: int) -> RecentInterests:
    """Everybody's recent interests at a moment.

    Args:
        rows: (m,) engagements within H before the moment (see `day_files.ENGAGEMENT`), in any order.
        seed: of the order of interests within a step.
    """
    user, time, interest = rows["user"], rows["time"], rows["interest"]
    key = np.empty(len(rows), np.uint64)
    _places(user, time, interest, np.uint64(seed), key)
    order = np.lexsort((key, time, interest, user))
    user, time, interest, key = user[order], time[order], interest[order], key[order]
    latest = np.ones(len(user), bool)  # of each interest of each user the last engagement
    latest[:-1] = (user[1:] != user[:-1]) | (interest[1:] != interest[:-1])
    who, engaged = np.unique(user, return_counts=True)
    user, time, interest, key = user[latest], time[latest], interest[latest], key[latest]
    order = np.lexsort((key, time, user))
    user, time, interest = user[order], time[order], interest[order]
    ends = np.searchsorted(user, who, side="right")
    place = np.repeat(ends, np.diff(ends, prepend=0)) - 1 - np.arange(len(user))  # 0 = the last of a user
    recent = np.full((len(who), RECENT), -1, np.int16)
    some = place < RECENT
    recent[np.searchsorted(who, user[some]), RECENT - 1 - place[some]] = interest[some]
    return RecentInterests(who, recent, (moment.microseconds - time[ends - 1]) / DAY, engaged)


@njit(cache=True, nogil=True)
def _places(user, time, interest, seed, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    for i in range(len(out)):
        out[i] = place_in_step(user[i], time[i], interest[i], seed)
