"""What rows of single users add to a mixture: the planner asked about a user, and not about their pairs.

A row is one more feature on top of everything else: score = a * log p(release) + b * log p(row), for the
users of whom a row speaks. The others' scores stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import BoolArray, UserRows
from freshet.stages.counts.mixture import log_softmax
from freshet.stages.counts.planner_score import FLOOR, spread, times_popularity


@dataclass(frozen=True)
class UserPart:
    """Rows of users, and what they weigh.

    Attributes:
        rows: the planner's answers by user.
        weights: (2,) of the log-probabilities without the row, and of those by the row.
        popularity: (N,) shares that the answers are relative to, as they are now; None = they stand alone.
    """

    rows: UserRows
    weights: NDArray[np.float64]
    popularity: NDArray[np.float64] | None = None

    def feature(self, row: NDArray[np.int64], counts: NDArray[np.float64]) -> NDArray[np.float32]:
        """(n, N) log-probabilities by rows (n,); what a row leaves open follows `counts` (n, N)."""
        if self.popularity is None:
            shares = spread(self.rows.rows, row, counts)
        else:
            shares = times_popularity(spread(self.rows.rows, row, np.ones_like(counts)), self.popularity)
        return np.log(np.maximum(shares, FLOOR)).astype(np.float32)

    def added(
        self,
        fused: NDArray[np.float64],
        count: NDArray[np.float64],
        user: NDArray[np.uint64],
        recent: NDArray[np.int16],
        excluded: BoolArray,
    ) -> NDArray[np.float64]:
        """(n, N) log-probabilities with the rows of those users who have one that speaks of them.

        Args:
            fused, count: (n, N) log-probabilities without rows, and by counts alone.
            user: (n,) numbers of the users, with their recent interests (n, RECENT).
        """
        row = self.rows.of(user, recent)
        some = row >= 0
        if not some.any():
            return fused
        barred = excluded[some]
        own = self.feature(row[some], np.exp(count[some]))
        out = fused.copy()
        mixed = self.weights[0] * np.where(barred, 0.0, fused[some]) + self.weights[1] * own
        out[some] = log_softmax(mixed, barred)
        return out
