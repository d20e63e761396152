"""The relative effect's interval by resampling users, which assumes nothing about how it is spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from freshet.experiments.stats.effects import Estimate

AT_ONCE = 4_000_000
"""Counts drawn at a time (8 bytes each)."""


def bootstrap(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """treatment / control - 1 of a mean or a ratio, its percentile interval and the resamples' variance.

    Each arm's users are drawn as wholes, with replacement. Users with the same values are drawn together, as
    one multinomial count: exact, and the cost is that of distinct values, few where they count something.

    Args:
        control, treatment: a row per user, (n, 2) of numerator and denominator; further columns are left out;
            (n,) is a mean per user.

    Where control's metric is 0 in a resample, the interval is unbounded.
    """
    rng = np.random.default_rng(seed)
    c, t = (_metric(values, resamples, rng) for values in (control, treatment))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = t / c - 1
    value, drawn = float(relative[0]), relative[1:]
    if not np.isfinite(drawn).all():
        return Estimate(value, -np.inf, np.inf, np.inf)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high), float(drawn.var(ddof=1)))


def _metric(values: ArrayLike, resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(1 + resamples,) of the users as they are, then of each resample."""
    rows = np.asarray(values, np.float64)
    rows = np.column_stack([rows, np.ones(len(rows))]) if rows.ndim == 1 else rows[:, :2]
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    total = np.empty((1 + resamples, 2))
    total[0] = counts @ kinds
    for part in np.array_split(total[1:], 1 + resamples * len(kinds) // AT_ONCE):
        part[:] = rng.multinomial(len(rows), counts / len(rows), len(part)) @ kinds
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(total[:, 0] / total[:, 1])
