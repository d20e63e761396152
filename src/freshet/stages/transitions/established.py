"""Who is established, and since when: users with a past, which a campaign of new accounts doesn't have.

Whether a user is established on a day follows from earlier days alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import BoolArray, positions

NEVER = np.iinfo(np.int32).max
PENDING = 2_000_000
"""Pairs of user and day noted, some of them several times, before they are brought together."""


@dataclass(frozen=True, slots=True)
class Established:
    """The day from which on each user is established.

    Attributes:
        users: (m,) numbers, ascending: all that engaged anything.
        since: (m,) days since 1970; `NEVER` for users who are not established on any day so far.
    """

    users: NDArray[np.uint64]
    since: NDArray[np.int32]

    def on(self, users: NDArray[np.uint64], days: NDArray[np.int64] | int) -> BoolArray:
        """(n,) whether each user (n,) is established on a day (n,), or on one day."""
        place = positions(self.users, users)
        since = (
            np.where(place >= 0, self.since[place], NEVER) if len(self.users) else np.full(len(users), NEVER)
        )
        return np.asarray(since <= days)

    def known_on(self, day: int) -> NDArray[np.uint64]:
        """(m,) numbers of those who are established on a day, ascending."""
        return self.users[self.since <= day]


def established(
    engaged: Iterable[tuple[NDArray[np.uint64], NDArray[np.int64]]], active_days: int, age_days: int
) -> Established:
    """Find who is established.

    Args:
        engaged: (users, days since 1970) of engagements, in any order, in parts; each pair may come often.
        active_days: days on which a user must have engaged something before.
        age_days: days since the first of them.

    Memory holds `active_days` pairs of 16 bytes for each user, and a part.
    """
    users, days = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for some, on in engaged:
        users.append(some)
        days.append(on)
        if sum(map(len, users[1:])) > PENDING:
            users, days = _first_days(users, days, active_days)
    [user], [day] = _first_days(users, days, active_days)
    if not len(user):
        return Established(user, np.zeros(0, np.int32))
    starts = np.flatnonzero(np.r_[True, user[1:] != user[:-1]])
    held = np.diff(np.r_[starts, len(user)])
    nth = day[np.minimum(starts + active_days - 1, len(day) - 1)]
    since = np.where(held >= active_days, np.maximum(nth + 1, day[starts] + age_days), NEVER)
    return Established(user[starts], since.astype(np.int32))


def _first_days(
    users: list[NDArray[np.uint64]], days: list[NDArray[np.int64]], most: int
) -> tuple[list[NDArray[np.uint64]], list[NDArray[np.int64]]]:
    """Of each user the first `most` different days, ordered by (user, day)."""
    user, day = np.concatenate(users), np.concatenate(days)
    order = np.lexsort((day, user))
    user, day = user[order], day[order]
    new = np.ones(len(user), bool)
    new[1:] = (user[1:] != user[:-1]) | (day[1:] != day[:-1])
    user, day = user[new], day[new]
    starts = np.flatnonzero(np.r_[True, user[1:] != user[:-1]][: len(user)])
    place = np.arange(len(user)) - np.repeat(starts, np.diff(np.r_[starts, len(user)]))
    return [user[place < most]], [day[place < most]]
