"""Top successors of two windows compared, and the null of the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import BoolArray, FloatArray, IntArray, Transitions

TOP = 5
CONTEXTS = 200
"""At most so many contexts are compared, those with the most transitions; bounds time."""


@dataclass(frozen=True, slots=True)
class ContextTransitions:
    """Transitions reduced to what drift needs, one row each.

    Attributes:
        user: (n,) key of the user.
        day: (n,) days since 1970-01-01.
        context: (n,) number of the context (of its last interest, of its pair), -1 where the user had none.
        successor: (n,) the interest taken up.
    """

    user: NDArray[np.uint64]
    day: NDArray[np.int32]
    context: IntArray
    successor: NDArray[np.int16]

    @classmethod
    def of(cls, rows: Transitions, length: int) -> ContextTransitions:
        """By contexts of one or two interests; a pair's number is its first times N, plus its last."""
        size = rows.known.shape[1]
        context = np.zeros(len(rows), np.int64)
        for column in rows.recent[:, -length:].T.astype(np.int64):
            context = context * size + column
        complete = (rows.recent[:, -length:] >= 0).all(axis=1)
        return cls(rows.user, rows.day, np.where(complete, context, -1), rows.successor)

    def take(self, rows: BoolArray) -> ContextTransitions:
        """The chosen rows."""
        return ContextTransitions(self.user[rows], self.day[rows], self.context[rows], self.successor[rows])

    def within(self, start: int, end: int) -> BoolArray:
        """(n,) whether start <= day < end, for rows that have a context."""
        return np.asarray((self.day >= start) & (self.day < end) & (self.context >= 0))


@dataclass(frozen=True, slots=True)
class Overlap:
    """Top successors of two windows compared.

    Attributes:
        start, middle, end: days since 1970; the windows begin at `start` and `middle`, the later one ends
            before `end`; adjacent ones meet at `middle`.
        contexts: those with enough transitions in both windows.
        observed: mean Jaccard of their top successors; NaN without a context.
        null: (permutations,) the same figure where nothing but chance differs.
        draws: (2, permutations) of every draw, the sum of its contexts' Jaccard and how many there were.
        each: (contexts compared,) their numbers.
        each_observed: (contexts compared,) Jaccard of each.
        each_null: (2, contexts compared) mean and standard deviation of its null.
    """

    start: int
    middle: int
    end: int
    contexts: int
    observed: float
    null: NDArray[np.float64]
    draws: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 0)))
    each: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    each_observed: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    each_null: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 0)))

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
    transitions: ContextTransitions,
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
        min_support: fewest transitions of a context in each of the two windows.
    """
    rng = np.random.default_rng(seed)
    return [
        overlap(transitions, (start, middle), (middle, end), interests, permutations, min_support, rng)
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


def overlap(
    transitions: ContextTransitions,
    first: tuple[int, int],
    second: tuple[int, int],
    interests: int,
    permutations: int,
    min_support: int,
    rng: np.random.Generator,
) -> Overlap:
    """Compare two windows, each [start, end) in days since 1970."""
    days = first[0], second[0], second[1]
    rows = transitions.take(transitions.within(*first) | transitions.within(*second))
    # which contexts are candidates depends on both windows together, which dealing anew doesn't change
    found, slot, support = np.unique(rows.context, return_inverse=True, return_counts=True)
    candidates = np.argsort(-support, kind="stable")[:CONTEXTS]
    candidates = candidates[support[candidates] >= 2 * min_support]
    place = np.full(len(found), -1)
    place[candidates] = np.arange(len(candidates))
    used = place[slot] >= 0
    cell = place[slot[used]] * interests + rows.successor[used]
    late = rows.day[used] >= second[0]
    shape = (len(candidates), interests)
    observed = _jaccards(cell, late, shape, min_support, rng)
    held = ~np.isnan(observed)
    if not held.any():
        return Overlap(*days, 0, float("nan"), np.zeros(0))
    blocks = _Blocks(rows.user[used], late)
    drawn = np.array(
        [_jaccards(cell, blocks.dealt(rng), shape, min_support, rng) for _ in range(permutations)]
    ).reshape(permutations, len(candidates))
    draws = np.stack([np.nansum(drawn, axis=1), (~np.isnan(drawn)).sum(axis=1).astype(np.float64)])
    drawn = drawn[draws[1] > 0]
    each = drawn[:, held]
    there = np.maximum((~np.isnan(each)).sum(axis=0), 1)
    mean = np.nansum(each, axis=0) / there
    spread = np.sqrt(np.nansum((each - mean) ** 2, axis=0) / there)
    null = np.nansum(drawn, axis=1) / (~np.isnan(drawn)).sum(axis=1)
    numbers = found[candidates][held].astype(np.int64)
    average = float(observed[held].mean())
    return Overlap(
        *days, int(held.sum()), average, null, draws, numbers, observed[held], np.stack([mean, spread])
    )


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


def _jaccards(
    cell: IntArray, second: BoolArray, shape: tuple[int, int], min_support: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(contexts,) Jaccard of the top successors; NaN without enough support in both windows."""
    size = shape[0] * shape[1]
    before = np.bincount(cell[~second], minlength=size).reshape(shape)
    after = np.bincount(cell[second], minlength=size).reshape(shape)
    enough = (before.sum(axis=1) >= min_support) & (after.sum(axis=1) >= min_support)
    out = np.full(shape[0], np.nan)
    if enough.any():
        a, b = _top(before[enough], rng), _top(after[enough], rng)  # (contexts, interests)
        out[enough] = (a & b).sum(axis=1) / (a | b).sum(axis=1)
    return out


def _top(counts: FloatArray | IntArray, rng: np.random.Generator) -> BoolArray:
    """(contexts, interests) the most frequent successors; lots decide ties, which an order would bias."""
    lots = counts + rng.random(counts.shape) * 0.5
    top = min(TOP, counts.shape[1])
    bound = np.partition(lots, counts.shape[1] - top, axis=1)[:, -top][:, None]
    return np.asarray((lots >= bound) & (counts > 0))
