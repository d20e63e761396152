"""Features of items before a moment: recent popularity, and newness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from freshet.stages.items.item_log import UNSEEN, Engagements

BASE = 0.5
"""Engagements added to every item's count."""

LITTLE = 0.01
"""Added where popularity alone decides: what nobody has engaged comes last."""


def popularity(
    log: Engagements, moments: NDArray[np.int32], half_lives: Sequence[float]
) -> Iterator[NDArray[np.float64]]:
    """(P, V) engagements of each item before each moment in turn, one for a user and day.

    They are halved every half-life.

    Args:
        moments: days since 1970, ascending.
        half_lives: P of them, in days.
    """
    day, item = _once_a_day(log)
    lives = np.asarray(half_lives, np.float64)[:, None]
    total, start, before = np.zeros((len(lives), len(log.first))), 0, 0
    for moment in moments.tolist():
        end = int(np.searchsorted(day, moment))
        total *= 0.5 ** ((moment - before) / lives)
        for p, life in enumerate(half_lives):
            total[p] += np.bincount(
                item[start:end], 0.5 ** ((moment - day[start:end]) / life), total.shape[1]
            )
        start, before = end, moment
        yield total.copy()


def _once_a_day(log: Engagements) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Days, ascending, and items: what a user engages again on the same day is no more popular for it."""
    day = log.day
    order = np.lexsort((log.user, log.item, day))
    day, item, user = day[order], log.item[order], log.user[order]
    new = np.ones(len(day), bool)
    new[1:] = (np.diff(day) != 0) | (np.diff(item) != 0) | (np.diff(user) != 0)
    return day[new], item[new]


def features(
    log: Engagements, moments: NDArray[np.int32], half_lives: Sequence[float]
) -> Iterator[NDArray[np.float32]]:
    """(P + 1, V) at each moment: log-popularity by half-life, and minus the log of the age in days.

    An item that nobody has seen yet is as young as one first seen today.
    """
    for moment, counted in zip(moments.tolist(), popularity(log, moments, half_lives), strict=True):
        age = np.where(log.first < UNSEEN, moment - log.first, 0)
        newness = -np.log1p(np.maximum(age, 0))
        yield np.vstack([np.log(counted + BASE), newness]).astype(np.float32)


def names(half_lives: Sequence[float]) -> tuple[str, ...]:
    """Of the features, in their order."""
    return (*(f"popularity {life:g} d" for life in half_lives), "newness")
