"""What a comparison needs to know of an arm's users: how many, their means, and how they scatter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Moments of p values per user, over n users; of two groups of users they add up by `+`.

    Columns, by convention: 0 is the numerator y, 1 the denominator d (1 for a mean per user), 2 and on are
    covariates, which must have been measured **strictly before the user's first exposure**: nothing here
    can check that, and a covariate that the arm could move hides the arm's effect.

    Scatter is kept about the mean, since a sum of squares of 1e8 users far from zero has no digits left for
    their variance; two groups are added as by Chan, Golub and LeVeque (1983).

    Attributes:
        n: users.
        mean: (p,) means over users; zeros without users.
        scatter: (p, p) sums over users of products of differences from the mean.
    """

    n: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    @classmethod
    def of(cls, values: ArrayLike) -> Moments:
        """Of values (n, p), a row per user; (n,) is y alone, a mean per user."""
        rows = np.asarray(values, np.float64)
        if rows.ndim == 1:
            rows = np.column_stack([rows, np.ones(len(rows))])
        if not len(rows):
            return cls.nothing(rows.shape[1])
        mean = rows.mean(axis=0)
        apart = rows - mean
        return cls(len(rows), mean, apart.T @ apart)

    @classmethod
    def of_sums(cls, n: int, total: ArrayLike, cross: ArrayLike) -> Moments:
        """Of sums (p,) and sums of products (p, p) over n users: exact for counts, whose sums are integers.

        Where values lie far from zero compared with their spread, give the constructor what the database
        calls `avg` and n times `covar_pop` instead.
        """
        total, cross = np.asarray(total, np.float64), np.asarray(cross, np.float64)
        if not n:
            return cls.nothing(len(total))
        mean = total / n
        scatter = cross - np.outer(total, mean)
        np.fill_diagonal(scatter, np.maximum(0.0, np.diag(scatter)))  # rounding may go below
        return cls(n, mean, scatter)

    @classmethod
    def nothing(cls, columns: int) -> Moments:
        """Of no users: adding it changes nothing."""
        return cls(0, np.zeros(columns), np.zeros((columns, columns)))

    @property
    def covariance(self) -> NDArray[np.float64]:
        """(p, p) unbiased covariance of users' values; NaN below two users."""
        return self.scatter / (self.n - 1) if self.n > 1 else np.full_like(self.scatter, np.nan)

    def __add__(self, other: Moments) -> Moments:
        if not (self.n and other.n):
            return self if self.n else other
        n, apart = self.n + other.n, other.mean - self.mean
        mean = self.mean + apart * (other.n / n)
        scatter = self.scatter + other.scatter + np.outer(apart, apart) * (self.n * other.n / n)
        return Moments(n, mean, scatter)
