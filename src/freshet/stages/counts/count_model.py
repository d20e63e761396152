"""Everything counts know before a moment, as log-probabilities of each interest for each context.

Sparse counts are shrunk to the next simpler ones (Dirichlet smoothing, strength in pseudo-counts):
pair -> last interest -> recent popularity -> uniform. A planner that was asked beforehand may stand between
last interest and popularity (`planner_prior`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import FloatArray, Sums, context_codes, positions

FEW = 1024
"""Interests up to which what follows each is computed once for all of them."""
ROWS_AT_ONCE = 512

SUFFIX_NAMES = ("last", "pair", "triple")


def feature_names(half_lives: Sequence[float], k: int) -> tuple[str, ...]:
    """Names of the count features, in the order of `CountModel.features`."""
    popular = tuple(f"popularity_{half_life:g}d" for half_life in half_lives)
    return (*popular, *SUFFIX_NAMES[:k], "recent")


@dataclass(frozen=True)
class ContextCounts:
    """Counts after the observed contexts of one length; memory grows with what was seen, not with N**length.

    Attributes:
        codes: (m,) codes of the contexts, ascending.
        start: (m + 1,) where the entries of each context begin; the last is their number.
        successor, weight: (entries,) in the order of the contexts.
        interests: N.
    """

    codes: NDArray[np.int64]
    start: NDArray[np.int64]
    successor: NDArray[np.int16]
    weight: NDArray[np.float64]
    interests: int

    @classmethod
    def of(cls, sums: Sums, interests: int) -> ContextCounts:
        codes, first = np.unique(context_codes(sums.contexts), return_index=True)  # sums are sorted
        start = np.append(first, len(sums.successor))
        return cls(codes, start, sums.successor, sums.weight, interests)

    def after(self, contexts: NDArray[np.int16]) -> NDArray[np.float64]:
        """(n, N) counts after contexts (n, length); zero after those never seen."""
        out = np.zeros((len(contexts), self.interests))
        place = positions(self.codes, context_codes(contexts))
        rows = np.flatnonzero(place >= 0)
        size = (self.start[1:] - self.start[:-1])[place[rows]]
        offset = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        entry = np.repeat(self.start[place[rows]], size) + offset
        out[np.repeat(rows, size), self.successor[entry]] = self.weight[entry]
        return out


class AfterLast(Protocol):
    """The probability of each successor after each last interest, (N, N)."""

    def take(self, last: NDArray[np.int16]) -> NDArray[np.float64]:
        """(n, N) rows of last interests (n,); any row for -1."""

    def whole(self) -> NDArray[np.float64]:
        """(N, N) all rows."""

    def coarse(self) -> NDArray[np.float32]:
        """(N, N) all rows, in half the memory."""


@dataclass(frozen=True)
class StoredRows:
    """All rows, as they are."""

    rows: NDArray[np.float64]

    def take(self, last: NDArray[np.int16]) -> NDArray[np.float64]:
        return self.rows[last]

    def whole(self) -> NDArray[np.float64]:
        return self.rows

    def coarse(self) -> NDArray[np.float32]:
        return self.rows.astype(np.float32)


@dataclass(frozen=True)
class CountedRows:
    """Rows made of counts when they are asked for: of thousands of interests, all of them are 200 MB.

    Attributes:
        counts: after contexts of length 1.
        towards: (N,) or (N, N) what they are shrunk to, with `strength` pseudo-counts.
    """

    counts: ContextCounts
    towards: NDArray[np.float64]
    strength: float

    def take(self, last: NDArray[np.int16]) -> NDArray[np.float64]:
        towards = self.towards if self.towards.ndim == 1 else self.towards[last]
        return _shrink(self.counts.after(last[:, None]), towards, self.strength)

    def whole(self) -> NDArray[np.float64]:
        out = np.empty((self.counts.interests,) * 2)
        self._fill(out)
        return out

    def coarse(self) -> NDArray[np.float32]:
        out = np.empty((self.counts.interests,) * 2, np.float32)
        self._fill(out)
        return out

    def _fill(self, out: FloatArray) -> None:
        size = len(out)
        for start in range(0, size, ROWS_AT_ONCE):
            some = np.arange(start, min(start + ROWS_AT_ONCE, size), dtype=np.int16)
            out[some] = self.take(some)


@dataclass(frozen=True)
class CountModel:
    """Counts before one moment.

    Attributes:
        popularity: (P, N) log-probability of each successor at each half-life.
        base: (N,) popularity that transitions are shrunk to.
        after_last: probability of a successor after each last interest, shrunk to `base`, or to what a
            planner makes of it.
        tables: counts after the observed contexts of lengths 2..k.
        prior_counts: pseudo-counts of shrinkage for context lengths 1..k.
    """

    popularity: NDArray[np.float64]
    base: NDArray[np.float64]
    after_last: AfterLast
    tables: tuple[ContextCounts, ...]
    prior_counts: tuple[float, ...]

    @classmethod
    def build(
        cls,
        popularity: Sequence[Sums],
        suffixes: Sequence[Sums],
        interests: int,
        prior_counts: Sequence[float],
        steady: int | None = None,
        towards: NDArray[np.float64] | None = None,
    ) -> CountModel:
        """From sums: popularity (length 0) at each half-life, and suffixes of length 1..k.

        Transitions are shrunk to the popularity numbered `steady`, by default the middle one. Popularity is
        smoothed by one pseudo-count per interest, scaled down where there are fewer counts than interests.

        Args:
            towards: (N, N) probabilities of a successor after each last interest that its counts are shrunk
                to instead of popularity; see `planner_prior`.
        """
        shares = popularity_of(popularity, interests)
        base = shares[len(shares) // 2 if steady is None else steady]
        counts = ContextCounts.of(suffixes[0], interests)
        after_last: AfterLast = CountedRows(counts, base if towards is None else towards, prior_counts[0])
        if interests <= FEW:
            after_last = StoredRows(after_last.whole())
        tables = tuple(ContextCounts.of(sums, interests) for sums in suffixes[1:])
        return cls(np.log(shares), base, after_last, tables, tuple(prior_counts))

    @property
    def interests(self) -> int:
        return len(self.base)

    @property
    def last(self) -> NDArray[np.float64]:
        """(N, N) probability of a successor after each last interest."""
        return self.after_last.whole()

    def features(self, recent: NDArray[np.int16]) -> NDArray[np.float32]:
        """Log-probabilities of all interests by every feature.

        Args:
            recent: (n, RECENT) or narrower, right-aligned, -1 padded.

        Returns:
            (n, F, N). Where a user has too few recent interests, a feature equals the next simpler one.
        """
        n, interests = len(recent), self.interests
        out = np.empty((n, len(self.popularity) + len(self.tables) + 2, interests), np.float32)
        out[:, : len(self.popularity)] = self.popularity
        shares = np.broadcast_to(self.base, (n, interests))
        for length in range(1, len(self.tables) + 2):
            shares = self._deeper(recent, length, shares)
            out[:, len(self.popularity) + length - 1] = np.log(shares)
        out[:, -1] = np.log(self.mean_after(recent))
        return out

    def after(self, recent: NDArray[np.int16], length: int) -> NDArray[np.float64]:
        """(n, N) probability after the last `length` interests; of fewer where a user has fewer."""
        shares = np.broadcast_to(self.base, (len(recent), self.interests))
        for deeper in range(1, length + 1):
            shares = self._deeper(recent, deeper, shares)
        return shares

    def mean_after(self, recent: NDArray[np.int16]) -> NDArray[np.float64]:
        """(n, N) mean over a user's recent interests of the probability after each."""
        total = np.zeros((len(recent), self.interests))
        for column in recent.T[(recent >= 0).any(axis=0)]:
            total += np.where(column[:, None] >= 0, self.after_last.take(column), 0.0)
        held = (recent >= 0).sum(axis=1, keepdims=True)
        return np.where(held > 0, total / np.maximum(held, 1), self.base)

    def _deeper(
        self, recent: NDArray[np.int16], length: int, shares: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Shares after the last `length` interests, from those after one less."""
        if length == 1:
            return np.where(recent[:, -1:] >= 0, self.after_last.take(recent[:, -1]), self.base)
        context = recent[:, -length:]
        complete = (context >= 0).all(axis=1)
        out = shares.copy()
        counts = self.tables[length - 2].after(context[complete])
        out[complete] = _shrink(counts, shares[complete], self.prior_counts[length - 1])
        return out


def popularity_of(sums: Sequence[Sums], interests: int) -> NDArray[np.float64]:
    """(P, N) smoothed share of each interest among the successors of each of P sums (length 0)."""
    return np.stack([_popularity(one, interests) for one in sums])


def _popularity(sums: Sums, interests: int) -> NDArray[np.float64]:
    counts = np.bincount(sums.successor, sums.weight, interests).astype(np.float64)
    pseudo = max(min(1.0, counts.sum() / interests), 1e-3)
    return np.asarray((counts + pseudo) / (counts.sum() + pseudo * interests))


def _shrink(
    counts: NDArray[np.float64], towards: NDArray[np.float64], strength: float
) -> NDArray[np.float64]:
    return np.asarray((counts + strength * towards) / (counts.sum(axis=-1, keepdims=True) + strength))
