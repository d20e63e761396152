"""What a comparison needs to know of an arm's users: how many, their means, how they scatter; and its metric.

A metric is a ratio of two sums over users, y / d (d = 1: a mean per user). What a user adds to it is taken
as (y - R d) / mean(d), the linearised metric (Deng, Knoblich and Lu 2018, "Applying the Delta Method in
Metric Analytics"): its variance over users is that of the ratio, whatever rows of one user have in common.
"""

from __future__ import annotations

import math
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


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """One arm's metric and covariates.

    Attributes:
        n: users.
        alike: how many users who all weigh the same would say as much (Kish's effective number, of the
            denominators): n for a mean per user, less for a ratio that a few busy users carry.
        value: the metric.
        past: (q,) means of the covariates.
        error: (1 + q, 1 + q) covariance of `value` and `past`, as estimates.
    """

    n: int
    alike: float
    value: float
    past: NDArray[np.float64]
    error: NDArray[np.float64]

    def variance(self, metric: float, covariates: NDArray[np.float64]) -> float:
        """Of metric * value + covariates @ past."""
        weights = np.concatenate([[metric], covariates])
        return float(np.maximum(0.0, weights @ self.error @ weights))


def linearised(moments: Moments, covariates: int) -> Arm:
    """An arm by its first so many covariates; NaN throughout without users or denominator."""
    y, d = moments.mean[:2]
    value = float(y / d) if moments.n and d else math.nan
    linear = np.zeros((1 + covariates, 2 + covariates))  # rows of (y, d, x...) -> (linearised metric, x...)
    linear[0, :2] = (1 / d, -value / d) if moments.n and d else math.nan
    linear[1:, 2:] = np.eye(covariates)
    used = moments.covariance[: 2 + covariates, : 2 + covariates]
    alike = effective(moments)
    error = linear @ used @ linear.T / max(1, moments.n) * _leverage(moments.n, alike)
    np.fill_diagonal(error, np.maximum(0.0, np.diag(error)))  # rounding may go below; NaN stays NaN
    return Arm(moments.n, alike, value, moments.mean[2 : 2 + covariates], error)


def effective(moments: Moments) -> float:
    """(sum d)^2 / sum d^2: Kish's effective number of users; 0 without a denominator."""
    n, mean = moments.n, float(moments.mean[1])
    return n / (1 + float(moments.scatter[1, 1]) / (n * mean**2)) if n and mean else 0.0


def _leverage(n: int, alike: float) -> float:
    """What a variance of a ratio is short of: users who carry much of the denominator pull the ratio to
    themselves, and leave a small residual. As the jackknife, by the mean leverage; 1 for a mean per user."""
    return ((1 - 1 / n) / (1 - 1 / alike)) ** 2 if alike > 1 else math.nan


def theta_of(error: NDArray[np.float64], past: NDArray[np.float64]) -> NDArray[np.float64]:
    """(q,) coefficients of covariates by which the metric varies least.

    Args:
        error: (1 + q, 1 + q) covariance of metric and covariates.
        past: (q,) how large the covariates are, to distinguish their spread from rounding.
    """
    apart = np.sqrt(np.diag(error)[1:])
    if not (len(apart) and np.isfinite(error).all()):
        return np.zeros(len(apart))
    scale = np.where(apart > 1e-13 * np.abs(past), apart, np.inf)  # what is the same for all explains nothing
    alike = error[1:, 1:] / np.outer(scale, scale)
    return np.asarray(np.linalg.pinv(alike, rcond=1e-9, hermitian=True) @ (error[1:, 0] / scale) / scale)


def dearer(spare: int, covariates: int) -> float:
    """Factor by which fitted coefficients make a variance larger than it looks: once since they fit this
    sample too well, once since they are uncertain."""
    return (spare / (spare - covariates)) ** 2 if spare > covariates else math.nan


def spread(moments: Moments) -> tuple[float, float, float]:
    """(metric, variance of the linearised metric over users, share of it that all covariates explain)."""
    arm = linearised(moments, len(moments.mean) - 2)
    whole = float(arm.error[0, 0])
    left = arm.variance(1.0, -theta_of(arm.error, arm.past))
    return arm.value, whole * moments.n, 1 - left / whole if whole > 0 else 0.0
