"""How much successors change from one window of time to the next, beside what chance alone would change.

The overlap of two top lists says nothing by itself: with few counts, two samples of one unchanging world
overlap little. So every overlap stands beside its null: the same figure after users' blocks of transitions
are dealt out between the two windows anew, which is what the log could equally have been without drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.types import BoolArray, FloatArray, IntArray

TOP = 5
CONTEXTS = 200
"""At most so many last interests are compared, those with the most transitions; bounds time."""


@dataclass(frozen=True, slots=True)
class Moves:
    """Transitions reduced to what drift needs, one row each.

    Attributes:
        user: (n,) key of the user.
        day: (n,) days since 1970-01-01.
        last: (n,) the last interest before, -1 where the user had none.
        successor: (n,) the interest taken up.
    """

    user: NDArray[np.uint64]
    day: NDArray[np.int32]
    last: NDArray[np.int16]
    successor: NDArray[np.int16]

    def within(self, start: int, end: int) -> Moves:
        """Rows with start <= day < end that have a last interest."""
        rows = (self.day >= start) & (self.day < end) & (self.last >= 0)
        return Moves(self.user[rows], self.day[rows], self.last[rows], self.successor[rows])


@dataclass(frozen=True, slots=True)
class Overlap:
    """Top successors of two adjacent windows compared.

    Attributes:
        start, middle, end: days since 1970; the windows are [start, middle) and [middle, end).
        contexts: last interests with enough transitions in both windows.
        observed: mean Jaccard of their top successors; NaN without a context.
        null: (permutations,) the same figure where nothing but chance differs.
    """

    start: int
    middle: int
    end: int
    contexts: int
    observed: float
    null: NDArray[np.float64]

    @property
    def expected(self) -> float:
        """Mean of the null; NaN without a context."""
        return float(self.null.mean()) if len(self.null) else float("nan")

    @property
    def band(self) -> tuple[float, float]:
        """Where 95 % of the null lies."""
        if not len(self.null):
            return float("nan"), float("nan")
        low, high = np.quantile(self.null, [0.025, 0.975])
        return float(low), float(high)

    @property
    def p_value(self) -> float:
        """Chance of so little overlap without drift; 1 where nothing could be compared."""
        return float((1 + (self.null <= self.observed).sum()) / (1 + len(self.null)))


def overlaps(
    moves: Moves,
    edges: Sequence[int],
    *,
    interests: int,
    permutations: int = 100,
    min_support: int = 10,
    seed: int = 0,
) -> list[Overlap]:
    """Compare every two adjacent windows.

    Args:
        edges: days since 1970 at which windows begin, and the end of the last one; ascending.
        interests: N.
        min_support: fewest transitions of a last interest in each of the two windows.
    """
    rng = np.random.default_rng(seed)
    return [
        _overlap(moves, (start, middle, end), interests, permutations, min_support, rng)
        for start, middle, end in zip(edges, edges[1:], edges[2:], strict=False)
    ]


def pooled(found: Sequence[Overlap]) -> tuple[float, NDArray[np.float64]]:
    """Mean overlap over the comparisons that hold any context, and the null of that mean.

    A draw that leaves a comparison without a context is missing there, so nulls may differ in length: as many
    draws are pooled as the shortest has.
    """
    held = [overlap for overlap in found if overlap.contexts and len(overlap.null)]
    if not held:
        return float("nan"), np.zeros(0)
    draws = min(len(overlap.null) for overlap in held)
    null = np.mean([overlap.null[:draws] for overlap in held], axis=0)
    return float(np.mean([overlap.observed for overlap in held])), null


def _overlap(
    moves: Moves,
    days: tuple[int, int, int],
    interests: int,
    permutations: int,
    min_support: int,
    rng: np.random.Generator,
) -> Overlap:
    start, middle, end = days
    rows = moves.within(start, end)
    # which contexts are candidates depends on both windows together, which dealing anew doesn't change
    support = np.bincount(rows.last, minlength=interests)
    candidates = np.argsort(-support, kind="stable")[:CONTEXTS]
    candidates = candidates[support[candidates] >= 2 * min_support]
    slot = np.full(interests, -1)
    slot[candidates] = np.arange(len(candidates))
    used = slot[rows.last] >= 0
    cell = slot[rows.last[used]] * interests + rows.successor[used]
    late = rows.day[used] >= middle
    shape = (len(candidates), interests)

    def overlap_of(second: BoolArray) -> tuple[int, float]:
        return _mean_jaccard(cell, second, shape, min_support, rng)

    contexts, observed = overlap_of(late)
    if not contexts:
        return Overlap(start, middle, end, 0, float("nan"), np.zeros(0))
    blocks = _Blocks(rows.user[used], late)
    drawn = [overlap_of(blocks.dealt(rng))[1] for _ in range(permutations)]
    null = np.array([value for value in drawn if not np.isnan(value)])
    return Overlap(start, middle, end, contexts, observed, null)


class _Blocks:
    """Users' blocks of transitions in two windows.

    A user seen in both windows has two blocks, which may change places but never share a window; the blocks
    of users seen in one window only are dealt out so that both windows keep their number of them.
    """

    def __init__(self, user: NDArray[np.uint64], late: BoolArray) -> None:
        _, who = np.unique(user, return_inverse=True)
        late_rows = np.bincount(who, late)
        rows = np.bincount(who)
        self._who = who
        self._late = late
        self._once = np.flatnonzero((late_rows == 0) | (late_rows == rows))
        self._once_late = late_rows[self._once] > 0
        self._users = len(rows)

    def dealt(self, rng: np.random.Generator) -> BoolArray:
        """(rows,) whether each transition falls into the second window this time."""
        moved = rng.random(self._users) < 0.5
        moved[self._once] = self._once_late != rng.permutation(self._once_late)
        return np.asarray(self._late ^ moved[self._who])


def _mean_jaccard(
    cell: IntArray, second: BoolArray, shape: tuple[int, int], min_support: int, rng: np.random.Generator
) -> tuple[int, float]:
    """(contexts with enough support in both windows, mean Jaccard of their top successors)."""
    size = shape[0] * shape[1]
    before = np.bincount(cell[~second], minlength=size).reshape(shape)
    after = np.bincount(cell[second], minlength=size).reshape(shape)
    enough = (before.sum(axis=1) >= min_support) & (after.sum(axis=1) >= min_support)
    if not enough.any():
        return 0, float("nan")
    a, b = _top(before[enough], rng), _top(after[enough], rng)  # (contexts, interests)
    return int(enough.sum()), float(((a & b).sum(axis=1) / (a | b).sum(axis=1)).mean())


def _top(counts: FloatArray | IntArray, rng: np.random.Generator) -> BoolArray:
    """(contexts, interests) the most frequent successors; lots decide ties, which an order would bias."""
    lots = counts + rng.random(counts.shape) * 0.5
    top = min(TOP, counts.shape[1])
    bound = np.partition(lots, counts.shape[1] - top, axis=1)[:, -top][:, None]
    return np.asarray((lots >= bound) & (counts > 0))
