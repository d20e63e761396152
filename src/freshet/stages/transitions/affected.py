"""Whose engagements an import changed, and from which day on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.core.time import day_number
from freshet.stages.transitions.day_files import ENGAGEMENT, Rows, days_of

PENDING = 2_000_000
"""Users noted, some of them several times, before they are brought together."""


@dataclass(frozen=True, slots=True)
class Affected:
    """Users whose engagements changed.

    Attributes:
        users: (m,) keys, ascending; None for everybody.
        since: (m,) the first day, in days since 1970, that differs for each.
    """

    users: NDArray[np.uint64] | None
    since: NDArray[np.int32]

    @classmethod
    def everybody(cls) -> Affected:
        return cls(None, np.zeros(0, np.int32))

    @classmethod
    def by(cls, changed: Iterable[tuple[str, NDArray[np.uint64]]]) -> Affected:
        """From (day, users with a row that differs), in ascending order of days."""
        users = [np.zeros(0, np.uint64)]
        since = [np.zeros(0, np.int32)]
        for day, some in changed:
            users.append(some)
            since.append(np.full(len(some), day_number(day), np.int32))
            if sum(map(len, users[1:])) > PENDING:
                users, since = _first(users, since)
        users, since = _first(users, since)
        return cls(users[0], since[0])

    def among(self, users: NDArray[np.uint64]) -> NDArray[np.int64]:
        """(k,) places, among users in ascending order, of those that are affected; not for everybody."""
        assert self.users is not None
        return _matches(self.users, users)[0]

    def again(self, rows: Rows) -> NDArray[np.bool_]:
        """(n,) whether a row, of rows sorted by user, is one that is counted again."""
        if self.users is None:
            return np.ones(len(rows), bool)
        found, place = _matches(self.users, np.ascontiguousarray(rows["user"]))
        again = np.zeros(len(rows), bool)
        again[found] = days_of(rows.take(found)) >= self.since[place]
        return again


def _matches(
    users: NDArray[np.uint64], wanted: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places in `wanted` that hold one of the users, and which; both ascending, users only once."""
    found, place = np.empty((2, len(wanted)), np.int64)
    matches = _merge(users, wanted, found, place)
    return found[:matches], place[:matches]


@njit(cache=True, nogil=True)
def _merge(users, wanted, found, place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """One pass over both, without branches that a processor could guess wrong; much faster than searches."""
    i = j = matches = 0
    while i < len(wanted) and j < len(users):
        user, other = users[j], wanted[i]
        found[matches], place[matches] = i, j
        matches += user == other
        i += other <= user
        j += user < other
    return matches


def differing(before: Rows | None, now: Rows | None) -> NDArray[np.uint64]:
    """(m,) users with a row in one of both only, ascending."""
    if before is None or now is None:
        rows = now if before is None else before
        users: NDArray[np.uint64] = rows["user"] if rows is not None else np.zeros(0, np.uint64)
        new = np.ones(len(users), bool)
        new[1:] = users[1:] != users[:-1]
        return np.asarray(users[new])
    raw = f"V{ENGAGEMENT.itemsize}"
    rows = np.setxor1d(before.view(raw), now.view(raw), assume_unique=True).view(ENGAGEMENT)
    return np.unique(rows["user"])


def _first(
    users: list[NDArray[np.uint64]], since: list[NDArray[np.int32]]
) -> tuple[list[NDArray[np.uint64]], list[NDArray[np.int32]]]:
    """Every user once, with the first day noted."""
    found, place = np.unique(np.concatenate(users), return_index=True)
    return [found], [np.concatenate(since)[place]]
