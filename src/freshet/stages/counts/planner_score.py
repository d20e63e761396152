"""The planner's score as one more feature of the mixture.

A user is answered from several rows: the planner is looked up for every pair (earlier interest, last
interest) of the user's recent interests, and the probabilities are averaged. A user with just one context
gets that context's row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import PlannerRows, context_codes, positions

FLOOR = 1e-9


class PlannerScores:
    """Looks planner rows up by context.

    Args:
        rows: the planner's answers.
        interests: N.
        popularity: (N,) shares that the answers are relative to, as they are now; None = they stand alone.

    Attributes:
        sorted_codes: (m,) codes of the contexts that were answered, ascending.
        order: (m,) their rows.
    """

    def __init__(
        self, rows: PlannerRows, interests: int, popularity: NDArray[np.float64] | None = None
    ) -> None:
        self.rows = rows
        self.interests = interests
        self.popularity = popularity
        codes = context_codes(np.asarray(rows.contexts))
        answered = np.asarray((np.asarray(rows.successors) >= 0).any(axis=1))
        order = np.argsort(codes, kind="stable")
        self.order = order[answered[order]]
        self.sorted_codes = codes[self.order]

    def find(self, contexts: NDArray[np.int16]) -> NDArray[np.int64]:
        """Row of each context (n, j), -1 where the planner gave none."""
        place = positions(self.sorted_codes, context_codes(contexts))
        return np.where(place >= 0, self.order[place] if len(self.order) else -1, -1)

    def spread(self, row: NDArray[np.int64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, N) probabilities of rows; the mass outside a row's successors follows the count score.

        Args:
            row: (n,) rows; -1 gives the count score itself.
            counts: (n, N) probabilities by counts.
        """
        return spread(self.rows, row, counts)

    def feature(self, recent: NDArray[np.int16], counts: NDArray[np.float64]) -> NDArray[np.float32]:
        """(n, N) log-probability by the planner for users with these recent interests.

        Args:
            recent: (n, R) right-aligned, -1 padded.
            counts: (n, N) probabilities by counts, for what the planner leaves open.
        """
        width = self.rows.contexts.shape[1]
        last = recent[:, -1:]
        total = np.zeros((len(recent), self.interests))
        looked_up = np.zeros((len(recent), 1))
        left = counts if self.popularity is None else np.ones_like(counts)  # who follows what is left open

        def add(contexts: NDArray[np.int16], wanted: NDArray[np.bool_]) -> None:
            if not wanted.any():
                return
            row = self.find(contexts)
            use = wanted & (row >= 0)
            if use.any():
                total[use] += self.spread(row[use], left[use])
                looked_up[use] += 1

        if width == 1:
            add(last, last[:, 0] >= 0)
        else:
            blank = np.full((len(recent), width - 2), -1, np.int16)
            for column in range(recent.shape[1] - 1):
                earlier = recent[:, column : column + 1]
                add(np.hstack([blank, earlier, last]), earlier[:, 0] >= 0)
            alone = (recent[:, -2] < 0) & (last[:, 0] >= 0)  # no earlier interest: the row of the last
            add(np.hstack([blank, np.full_like(last, -1), last]), alone)
        if width > 2:
            add(recent[:, -width:], np.asarray((recent[:, -width:] >= 0).all(axis=1)))
        total /= np.maximum(looked_up, 1)
        if self.popularity is not None:
            total = times_popularity(total, self.popularity)
        shares = np.where(looked_up > 0, total, counts)
        return np.log(np.maximum(shares, FLOOR)).astype(np.float32)


def spread(rows: PlannerRows, row: NDArray[np.int64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, N) probabilities of rows (n,); what a row leaves open follows `counts` (n, N), as does -1."""
    n, interests = counts.shape
    listed = np.where(row[:, None] >= 0, rows.successors[row], -1).astype(np.int64)  # (n, m)
    mass = np.where(listed >= 0, np.exp(rows.logp[row], dtype=np.float64), 0.0)
    if rows.lists is not None:  # row -1 lists nothing
        mass *= rows.lists.mass[row][:, None]
    out = np.zeros((n, interests + 1))  # the last column takes the padding
    index = np.arange(n)[:, None]
    out[index, listed] = mass
    taken = np.zeros((n, interests + 1), bool)
    taken[index, listed] = True
    rest = np.where(taken[:, :-1], 0.0, counts)
    total = rest.sum(axis=1, keepdims=True)
    residual = np.clip(1.0 - mass.sum(axis=1, keepdims=True), 0.0, 1.0)
    return np.asarray(out[:, :-1] + residual * rest / np.where(total > 0, total, 1.0))


def times_popularity(shares: NDArray[np.float64], popularity: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, N) shares that are relative to popularity (N,), as probabilities."""
    found = shares * popularity
    return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), FLOOR))
