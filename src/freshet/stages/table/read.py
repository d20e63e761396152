"""Reading a table: memory-mapped look-ups that always answer, and the churn between two tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Context, context_codes, positions
from freshet.stages.table.build import ARRAYS
from freshet.stages.table.contexts import dense_row


@dataclass(frozen=True, slots=True)
class Row:
    """Ranked successors of one context.

    Attributes:
        asked: the context asked for.
        answered: the context whose row this is: the same, its last interest, or `()` (popular).
        successors: (m,) interest indices, best first.
        planner, count, fused: (m,) log-probabilities; planner is NaN without a planner.
    """

    asked: Context
    answered: Context
    successors: NDArray[np.int16]
    planner: NDArray[np.float32]
    count: NDArray[np.float32]
    fused: NDArray[np.float32]


class Table:
    """A published table, opened without copying."""

    def __init__(self, folder: Path, interests: int) -> None:
        self.interests = interests
        self.contexts = np.load(folder / "contexts.npy", mmap_mode="r", allow_pickle=False)
        self.successors, self.planner, self.count, self.fused = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS
        )
        self.k = int(self.contexts.shape[1])
        dense = 1 + interests + (interests * (interests - 1) if self.k >= 2 else 0)
        self._triples = {
            tuple(context): dense + row for row, context in enumerate(self.contexts[dense:].tolist())
        }

    def __len__(self) -> int:
        return len(self.contexts)

    def row_number(self, context: Context) -> int | None:
        """Row of a context, or None where the table has none."""
        if len(context) > self.k or len(set(context)) < len(context):
            return None
        if any(not 0 <= index < self.interests for index in context):
            return None
        if len(context) == 3:
            return self._triples.get(context)
        return dense_row(context, self.interests)

    def row_numbers(self, contexts: NDArray[np.int16]) -> NDArray[np.int64]:
        """(n,) rows of contexts (n, k), -1 where the table has none."""
        codes, order = self._index
        place = positions(codes, context_codes(contexts))
        return np.where(place >= 0, order[place], -1)

    @cached_property
    def _index(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        codes = context_codes(self.contexts)
        order = np.argsort(codes)
        return codes[order], order

    def answered(self, context: Context) -> int:
        """Length of the suffix of a context whose row `look_up` gives."""
        for start in range(len(context)):
            number = self.row_number(context[start:])
            if number is not None and self.successors[number, 0] >= 0:
                return len(context) - start
        return 0

    def look_up(self, context: Context) -> Row:
        """The row of the context; failing that, of its shorter suffixes, down to what is popular.

        A row without any eligible successor counts as missing; interests of the context itself are left out
        of a shorter suffix's row.
        """
        for start in range(len(context) + 1):
            number = self.row_number(context[start:])
            if number is not None and (row := self._row(context, context[start:], number)).successors.size:
                return row
        return self._row(context, (), 0)

    def _row(self, asked: Context, answered: Context, number: int) -> Row:
        successors = np.asarray(self.successors[number])
        offered = (successors >= 0) & ~np.isin(successors, asked)
        return Row(
            asked,
            answered,
            successors[offered],
            np.asarray(self.planner[number])[offered],
            np.asarray(self.count[number])[offered],
            np.asarray(self.fused[number])[offered],
        )


def churn(old: NDArray[np.int64], new: NDArray[np.int64], top: int = 5) -> NDArray[np.float64]:
    """(n,) share of the top successors that changed, 1 - |A and B| / |A or B|, row by row.

    Args:
        old, new: (n, m) stable interest ids, best first, -1 padded; rows of the same contexts.
    """
    old, new = old[:, :top], new[:, :top]
    shared = ((old[:, :, None] == new[:, None, :]) & (old[:, :, None] >= 0)).sum(axis=(1, 2))
    union = (old >= 0).sum(axis=1) + (new >= 0).sum(axis=1) - shared
    return np.asarray(1.0 - np.where(union > 0, shared / np.maximum(union, 1), 1.0))
