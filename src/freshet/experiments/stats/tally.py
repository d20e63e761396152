"""From what users did day by day to moments of each arm: of the day, and of all days so far.

A day's moments are over **all users exposed by the end of that day**, whether they came that day or not: who
comes back may be the arm's doing, and a figure over those who came would hide it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.experiments.stats.moments import Moments

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Users:
    """Users by ascending key; a user's place is their index here.

    Attributes:
        key: (u,) by `types.user_number`, ascending, each once.
        arm: (u,) place of the arm.
        first: (u,) first exposure, microseconds since 1970 (UTC).
    """

    key: NDArray[np.uint64]
    arm: NDArray[np.int8]
    first: NDArray[np.int64]
    _starts: NDArray[np.int64] = field(init=False, repr=False)
    _shift: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        bits = max(1, len(self.key).bit_length())  # keys are hashes: a user or two per slot
        starts = np.searchsorted(self.key, np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits))
        object.__setattr__(self, "_shift", 64 - bits)
        object.__setattr__(self, "_starts", np.append(starts, len(self.key)))

    def __len__(self) -> int:
        return len(self.key)

    def find(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """(n,) place of each user, -1 for those who were not exposed."""
        out = np.empty(len(keys), np.int64)
        _find(self.key, self._starts, np.uint64(self._shift), keys, out)
        return out


@njit(cache=True, nogil=True)
def _find(known, starts, shift, keys, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    for i in range(len(keys)):
        slot = keys[i] >> shift
        out[i] = -1
        for j in range(starts[slot], starts[slot + np.uint64(1)]):
            if known[j] == keys[i]:
                out[i] = j
                break


@dataclass(frozen=True, slots=True)
class DayMoments:
    """Moments by arm: of one day alone, and of all days until its end."""

    daily: tuple[Moments, ...]
    cumulative: tuple[Moments, ...]


class Tally:
    """One metric of all exposed users, added up a day at a time.

    Args:
        arms: how many there are.
        past: (q, u) covariates of each user from strictly before their first exposure; q may be 0.
        per_user: the metric is a mean per exposed user: its denominator is 1, and none is given.
    """

    def __init__(self, users: Users, arms: int, past: NDArray[np.int32], per_user: bool) -> None:
        self._users, self._past, self._per_user = users, past, per_user
        self._y = np.zeros(len(users), np.int64)
        self._d = np.full(len(users), int(per_user), np.int64)
        self._n = np.zeros(arms, np.int64)
        self._before = np.iinfo(np.int64).min
        p = 2 + len(past)
        # sums of (y, d, past) of all users so far; and the same of users on a day on which they do nothing
        self._so_far = np.zeros((arms, p), np.int64), np.zeros((arms, p, p), np.int64)
        self._idle = np.zeros((arms, p), np.int64), np.zeros((arms, p, p), np.int64)

    def add(self, end: int, y: Counts, d: Counts | None = None) -> DayMoments:
        """Add a day.

        Args:
            end: its end, in microseconds since 1970, later than that of the day before: users who come
                later don't count yet.
            y: (u,) what each user adds to the numerator; users not exposed yet add nothing.
            d: (u,) what they add to the denominator, where users are not the denominator.
        """
        daily = tuple(sums.copy() for sums in self._idle)
        _add(
            (self._users.arm, self._users.first),
            (self._before, end),
            (y, np.zeros(0, np.int64) if d is None else d),
            (self._y, self._d),
            self._past,
            self._n,
            daily,
            self._so_far,
            self._idle,
            self._per_user,
        )
        self._before = end
        return DayMoments(_moments(self._n, *daily), _moments(self._n, *self._so_far))

    def rows(self, arm: int) -> Counts:
        """(n, 2) numerator and denominator of each of an arm's users so far."""
        known = (self._users.arm == arm) & (self._users.first < self._before)
        return np.column_stack([self._y[known], self._d[known]])


def _moments(n: Counts, total: Counts, cross: Counts) -> tuple[Moments, ...]:
    return tuple(Moments.of_sums(int(n[arm]), total[arm], cross[arm]) for arm in range(len(n)))


@njit(cache=True, nogil=True)
def _add(users, span, today, known, past, n, daily, so_far, idle, per_user):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """Only users who are new or did something change any sum; the others are passed over."""
    arm, first = users
    y_today, d_today = today
    y, d = known
    row = np.zeros(2 + len(past), np.int64)
    for i in range(len(arm)):
        if first[i] >= span[1]:
            continue
        new = first[i] >= span[0]
        more_y, more_d = y_today[i], 0 if per_user else d_today[i]
        if not (new or more_y or more_d):
            continue
        a = arm[i]
        for k in range(len(past)):
            row[2 + k] = past[k, i]
        if new:
            n[a] += 1
            row[0], row[1] = 0, 1 if per_user else 0
            _count(row, a, 1, idle)
            _count(row, a, 1, daily)
        else:
            row[0], row[1] = y[i], d[i]
            _count(row, a, -1, so_far)
        if more_y or more_d:
            row[0], row[1] = 0, 1 if per_user else 0
            _count(row, a, -1, daily)
            row[0], row[1] = more_y, 1 if per_user else more_d
            _count(row, a, 1, daily)
        y[i] += more_y
        d[i] += more_d
        row[0], row[1] = y[i], d[i]
        _count(row, a, 1, so_far)


@njit(cache=True, nogil=True, inline="always")
def _count(row, arm, times, sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    total, cross = sums
    for j in range(len(row)):
        total[arm, j] += times * row[j]
        for k in range(len(row)):
            cross[arm, j, k] += times * row[j] * row[k]
