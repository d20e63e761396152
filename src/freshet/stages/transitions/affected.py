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

    def within(self, rows: Rows) -> Rows:
        """The rows of affected users; rows are sorted by user, here and below."""
        if self.users is None:
            return rows
        return rows.take(np.flatnonzero(self._since(rows) <= np.iinfo(np.int32).max))

    def again(self, rows: Rows) -> NDArray[np.bool_]:
        """(n,) whether a row is one that is counted again."""
        if self.users is None:
            return np.ones(len(rows), bool)
        return np.asarray(days_of(rows) >= self._since(rows))

    def _since(self, rows: Rows) -> NDArray[np.int64]:
        """(n,) the day from which on a row's user is affected; beyond all days where never."""
        since = np.full(len(rows), np.iinfo(np.int64).max)
        if self.users is not None:
            _look_up(self.users, self.since, rows["user"], since)
        return since


@njit(cache=True, nogil=True)
def _look_up(users, since, wanted, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """Both sorted, so one pass over both; much faster than a search for each."""
    place = 0
    for i in range(len(wanted)):
        while place < len(users) and users[place] < wanted[i]:
            place += 1
        if place < len(users) and users[place] == wanted[i]:
            out[i] = since[place]


def differing(before: Rows | None, now: Rows | None) -> NDArray[np.uint64]:
    """(m,) users with a row in one of both only, ascending."""
    if before is None or now is None:
        rows = now if before is None else before
        users = rows["user"] if rows is not None else np.zeros(0, np.uint64)
        return users[np.append(users[:1] == users[:1], users[1:] != users[:-1])]
    raw = f"V{ENGAGEMENT.itemsize}"
    rows = np.setxor1d(before.view(raw), now.view(raw), assume_unique=True).view(ENGAGEMENT)
    return np.unique(rows["user"])


def _first(
    users: list[NDArray[np.uint64]], since: list[NDArray[np.int32]]
) -> tuple[list[NDArray[np.uint64]], list[NDArray[np.int32]]]:
    """Every user once, with the first day noted."""
    found, place = np.unique(np.concatenate(users), return_index=True)
    return [found], [np.concatenate(since)[place]]
