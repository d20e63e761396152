"""The scores of a `Scorer` for the rows of a wide table: compiled, row by row, on all cores.

A block of rows as arrays (rows, features, N) leaves every cache where N is in the thousands.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import BoolArray, Scores
from freshet.stages.counts.mixture import log_softmax
from freshet.stages.counts.scorer import Scorer, padded
from freshet.stages.counts.single_user_scorer import Reader, SingleUserScorer, UserScores


@dataclass(frozen=True)
class RowByRow:
    """Scores contexts as `Scorer` does, but for rounding.

    Attributes:
        single: the same mixture for one user at a time.
        planned: whether a planner is part of it.
    """

    single: SingleUserScorer
    planned: bool

    @classmethod
    def of(cls, scorer: Scorer, reader: Reader | None = None) -> RowByRow:
        """Of a mixture; `reader` as in `SingleUserScorer`."""
        return cls(SingleUserScorer(scorer, reader), scorer.planner is not None)

    def __call__(self, contexts: NDArray[np.int16], excluded: BoolArray) -> Scores:
        """Scores of contexts (n, k), as of users who have just these; see `Scorer.__call__`."""
        recent, threads = padded(contexts), min(8, os.cpu_count() or 1)
        edges = np.linspace(0, len(recent), threads + 1).astype(int).tolist()

        def work(start: int, end: int) -> list[UserScores]:
            return [self.single(recent[row], excluded[row]) for row in range(start, end)]

        with ThreadPoolExecutor(threads) as pool:
            found = [one for part in pool.map(work, edges[:-1], edges[1:]) for one in part]
        count = np.stack([one.count for one in found])
        planner = None
        if self.planned:
            listed = [one.count if one.planner is None else one.planner for one in found]
            planner = log_softmax(np.stack(listed), excluded)
        return Scores(planner, count, np.stack([one.fused for one in found]))
