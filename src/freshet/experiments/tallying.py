"""From what users did day by day to moments of each arm: of the day, and of all days so far.

A day's moments are over **all users exposed by the end of that day**, whether they came that day or not: who
comes back may be the arm's doing, and a figure over those who came would hide it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.experiments.moments import Moments
from freshet.experiments.users import Users

Counts = NDArray[np.int64]


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
        per_user: the metric is a mean per exposed user: its denominator is 1, and none is told.
    """

    def __init__(self, users: Users, arms: int, past: NDArray[np.int32], per_user: bool) -> None:
        self._users, self._arms, self._past, self._per_user = users, arms, past, per_user
        self._y = np.zeros(len(users), np.int64)
        self._d = np.zeros(0 if per_user else len(users), np.int64)

    def add(self, end: int, y: Counts, d: Counts | None = None) -> DayMoments:
        """Add a day.

        Args:
            end: its end, in microseconds since 1970: users who come later don't count yet.
            y: (u,) what each user adds to the numerator; users not exposed yet add nothing.
            d: (u,) what they add to the denominator, where users are not the denominator.
        """
        p = 2 + len(self._past)
        n = np.zeros(self._arms, np.int64)
        daily = np.zeros((self._arms, p, p), np.int64), np.zeros((self._arms, p), np.int64)
        whole = np.zeros((self._arms, p, p), np.int64), np.zeros((self._arms, p), np.int64)
        _add(
            self._users.arm,
            self._users.first < end,
            y,
            self._d[:0] if d is None else d,
            self._y,
            self._d,
            self._past,
            self._per_user,
            n,
            *daily,
            *whole,
        )
        return DayMoments(*(_moments(n, *sums) for sums in (daily, whole)))


def _moments(n: Counts, cross: Counts, total: Counts) -> tuple[Moments, ...]:
    return tuple(Moments.of_sums(int(n[arm]), total[arm], cross[arm]) for arm in range(len(n)))


@njit(cache=True, nogil=True)
def _add(  # type: ignore[no-untyped-def]  # noqa: ANN202  # pragma: no cover - compiled
    arm,  # noqa: ANN001
    there,  # noqa: ANN001
    y_today,  # noqa: ANN001
    d_today,  # noqa: ANN001
    y,  # noqa: ANN001
    d,  # noqa: ANN001
    past,  # noqa: ANN001
    per_user,  # noqa: ANN001
    n,  # noqa: ANN001
    day_cross,  # noqa: ANN001
    day_total,  # noqa: ANN001
    cross,  # noqa: ANN001
    total,  # noqa: ANN001
):
    p = 2 + len(past)
    today, so_far = np.zeros(p, np.int64), np.zeros(p, np.int64)
    for i in range(len(arm)):
        if not there[i]:
            continue
        a = arm[i]
        y[i] += y_today[i]
        today[0], so_far[0] = y_today[i], y[i]
        today[1] = so_far[1] = 1
        if not per_user:
            d[i] += d_today[i]
            today[1], so_far[1] = d_today[i], d[i]
        n[a] += 1
        for k in range(len(past)):
            today[2 + k] = so_far[2 + k] = past[k, i]
        for j in range(p):
            day_total[a, j] += today[j]
            total[a, j] += so_far[j]
            for k in range(j + 1):
                day_cross[a, j, k] += today[j] * today[k]
                cross[a, j, k] += so_far[j] * so_far[k]
    for a in range(len(n)):
        for j in range(p):
            for k in range(j):
                day_cross[a, k, j] = day_cross[a, j, k]
                cross[a, k, j] = cross[a, j, k]
