"""How badly a reference window predicts what came since, beside what chance alone would make of it.

The statistic of a context group is the surprise (nats) of its recent transitions under counts of the
reference window, above that under counts of both windows together, its own transition left out: what is lost
by not knowing the recent days. Counts are shrunk as everywhere: last interest -> popularity. Recent and
reference windows differ in length, so each user's transitions are cut into chunks as long as the recent
window: where nothing drifts, a user's recent chunk could as well have been any other one of theirs, and
swapping it with one of them, for every user on their own, gives another draw of the same world. So one user's
burst is never taken for drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.core.types import BoolArray, FloatArray, Transitions

STRENGTH = 30.0
"""Pseudo-counts by which successors of a last interest are shrunk to popularity."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Transitions of a reference window and of the days to be compared with it.

    Attributes:
        rows: the transitions.
        chunk: (n,) 0 for the recent days, 1..K for pieces of the reference window of the same length.
        chunks: K + 1.
        group: (n,) group of the last interest, -1 where the user had none.
        groups: how many groups there are.
    """

    rows: Transitions
    chunk: NDArray[np.int64]
    chunks: int
    group: NDArray[np.int64]
    groups: int


def windows(rows: Transitions, middle: int, end: int, length: int, reference: int, groups: int) -> Windows:
    """The last `length` days before `end` and the `reference` days before `middle`, cut alike.

    Contexts are grouped by their last interest, so that every group holds about as many transitions; which
    is decided on both windows together, so that the grouping says nothing about which is which.
    """
    count = max(1, reference // length)
    recent = (rows.day >= end - length) & (rows.day < end)
    before = (rows.day >= middle - count * length) & (rows.day < middle)
    rows = rows.take(recent | before)
    chunk = np.where(rows.day >= end - length, 0, 1 + (middle - 1 - rows.day.astype(np.int64)) // length)
    last = rows.recent[:, -1].astype(np.int64)
    place = balanced(np.bincount(last[last >= 0], minlength=rows.known.shape[1]), groups)
    return Windows(rows, chunk, count + 1, np.where(last >= 0, place[last], -1), groups)


def balanced(support: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """(N,) group of each interest: the busiest first, each to the group that holds least so far."""
    place, held = np.zeros(len(support), np.int64), np.zeros(groups)
    for interest in np.argsort(-support, kind="stable"):
        place[interest] = np.argmin(held)
        held[place[interest]] += support[interest]
    return place


class Surprise:
    """The statistic of every group, for the windows as they are and for other draws of them."""

    def __init__(self, found: Windows) -> None:
        rows = found.rows
        self._n, self._size = rows.known.shape
        known_row, self._known = np.nonzero(rows.known)
        self._first_known = np.searchsorted(known_row, np.arange(self._n + 1))
        self._last = np.where(rows.recent[:, -1] >= 0, rows.recent[:, -1], self._size).astype(np.int64)
        self._successor = rows.successor.astype(np.int64)
        self._chunk, self._chunks = found.chunk, found.chunks
        self._group, self._groups = found.group, found.groups
        _, self._who = np.unique(rows.user, return_inverse=True)
        self._users = int(self._who.max(initial=-1)) + 1
        self._counted = int((self._chunk != 0).sum())
        everything = np.ones(self._n, bool)
        self._together = self._nll(everything, everything, 1.0)

    @property
    def observed(self) -> FloatArray:
        """(groups + 2,) the statistic: of each group, of all contexts, of everybody by popularity alone."""
        recent = self._chunk == 0
        return self._statistic(recent, ~recent)

    def draws(self, count: int, rng: np.random.Generator) -> FloatArray:
        """(count, groups + 2) the statistic where users' recent chunks are swapped with chunks of theirs."""
        return np.asarray([self._draw(rng) for _ in range(count)], np.float64)

    def _draw(self, rng: np.random.Generator) -> FloatArray:
        recent = self._chunk == rng.integers(0, self._chunks, self._users)[self._who]
        counted = ~recent
        # counts of more transitions predict better: as many are counted as the reference window really holds,
        # though a draw leaves more on a growing log
        held = self._n - int(recent.sum())
        if held > self._counted:
            counted &= rng.random(self._n, np.float32) < self._counted / held
        return self._statistic(recent, counted)

    def _statistic(self, recent: BoolArray, counted: BoolArray) -> FloatArray:
        """Summed difference of surprise, over the square root of the number of transitions."""
        after, base = self._nll(recent, counted, 0.0) - self._together[:, recent]
        group = self._group[recent] + 1
        size = np.bincount(group, minlength=self._groups + 1)[1:]
        total = np.bincount(group, after, self._groups + 1)[1:]
        size = np.append(size, [size.sum(), len(group)])
        total = np.append(total, [total.sum(), base.sum()])
        return np.asarray(total / np.sqrt(np.maximum(size, 1)))

    def _nll(self, scored: BoolArray, counted: BoolArray, own: float) -> FloatArray:
        """(2, scored) surprise of rows by counts of others: after the last interest, and by popularity.

        `own` is taken off the count of what a scored row itself holds, where it was counted too.
        """
        rows = np.flatnonzero(scored)
        out = np.empty((2, len(rows)))
        table = _counts(self._last, self._successor, counted, self._size)
        _score(table, self._last, self._successor, self._first_known, self._known, rows, own, out)
        return out


@njit(cache=True)
def _counts(
    last: NDArray[np.int64], successor: NDArray[np.int64], counted: BoolArray, size: int
) -> NDArray[np.float64]:
    """(size + 2, size) shrunk counts after each last interest and after none; last row: of popularity."""
    table = np.zeros((size + 2, size))
    popular = table[size + 1]
    popular += 1.0
    for row in range(len(last)):
        if counted[row]:
            popular[successor[row]] += 1.0
            if last[row] < size:
                table[last[row], successor[row]] += 1.0
    table[: size + 1] += STRENGTH / popular.sum() * popular
    return table


@njit(cache=True)
def _score(
    table: NDArray[np.float64],
    last: NDArray[np.int64],
    successor: NDArray[np.int64],
    first_known: NDArray[np.int64],
    known: NDArray[np.int64],
    rows: NDArray[np.int64],
    own: float,
    out: NDArray[np.float64],
) -> None:
    """Write (2, rows) nats of each row's successor among what its user didn't know."""
    total = table.sum(axis=1)
    for i in range(len(rows)):
        row = rows[i]
        for which in range(2):
            line = last[row] if which == 0 else len(table) - 1
            left = total[line] - own
            for k in range(first_known[row], first_known[row + 1]):
                left -= table[line, known[k]]
            hit = table[line, successor[row]] - own
            out[which, i] = np.log(max(left, 1e-9)) - np.log(max(hit, 1e-9))
