"""Interests by the user's own item column instead of clustering."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.stages.interests.describe import distinct
from freshet.stages.interests.words import plain

_OTHER = "other"


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Values of the column that became interests.

    Attributes:
        names: the column value of each interest; the last may be the merged `other`.
        values: column value -> interest.
        other: the merged interest, or -1.
    """

    names: tuple[str, ...]
    values: dict[str, int]
    other: int

    def labels(self, column: Sequence[str]) -> NDArray[np.int64]:
        """(n,) interest of each value; -1 for an empty one, `other` (or -1) for an unknown one."""
        return lookup(column, self.values, self.other)

    def reordered(self, order: NDArray[np.int64]) -> Taxonomy:
        """The same values with the interests in another order: position p holds interest order[p]."""
        position = np.argsort(order)
        values = {value: int(position[old]) for value, old in self.values.items()}
        other = int(position[self.other]) if self.other >= 0 else -1
        return Taxonomy(tuple(self.names[old] for old in order), values, other)


def fit(column: Sequence[str], traffic: NDArray[np.float64], count: int) -> Taxonomy:
    """The values with the most traffic, at most `count`; the smaller ones are merged into `other`."""
    totals: Counter[str] = Counter()
    for value, engagements in zip(column, traffic.tolist(), strict=True):
        if value.strip() and engagements > 0:
            totals[value.strip()] += engagements
    ranked = sorted(totals, key=lambda value: (-totals[value], value))
    if len(ranked) <= count:
        return Taxonomy(tuple(ranked), {v: i for i, v in enumerate(ranked)}, -1)
    kept = [value for value in ranked if value != _OTHER][: count - 1]
    values = {value: index for index, value in enumerate(kept)} | {_OTHER: len(kept)}
    return Taxonomy((*kept, _OTHER), values, len(kept))


def lookup(column: Sequence[str], values: dict[str, int], other: int) -> NDArray[np.int64]:
    """(n,) interest of each column value, -1 where it has none."""
    found = [values.get(v.strip(), other) if v.strip() else -1 for v in column]
    return np.array(found, np.int64)


def descriptions(names: Sequence[str]) -> list[str]:
    """Column values as unique plain words: `Sci-Fi & Fantasy` is `sci fi fantasy`."""
    taken: set[frozenset[str]] = set()
    worded = []
    for index, name in enumerate(names):
        worded.append(distinct(plain(name) or f"interest {index}", taken))
        taken.add(frozenset(worded[-1].split()))
    return worded
