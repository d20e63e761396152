"""Many looks and many metrics: intervals that hold at every look, and Holm's adjustment of p values.

An experiment may be watched daily and stopped at any time.

The normal mixture of Robbins (1970), as in Johari, Koomen, Pekelis and Walsh (2017, "Peeking at A/B Tests")
and, without assuming normal data, Waudby-Smith et al. (2021, "Time-uniform central limit theory"): with V
the variance of the cumulative estimate at a look, and T that of the mixing distribution, the half-width is
sqrt(V (V + T) / T * log((V + T) / (V alpha^2))).

It takes estimate / V for a Brownian motion in information 1 / V: cov(look j, look k) = V_k for j < k. That
is so for the **relative** effect of cumulative sums by sticky users: what makes a user differ in their first
days makes them differ in later ones, and the covariance holds that part in full, as the later variance does.
Where users arrive on different days, earlier looks weigh early users more than later looks do, and looks are
more correlated than assumed; by Slepian's inequality that makes a crossing rarer, not more frequent.
It takes V as known, too. Looks at which an arm is low by chance and its variance with it leave 0 out far too
often, so `Effect.null` and `Effect.z` stand on the larger of two variances, and on Student's t.
`benchmarks/experiment_statistics.py` simulates just that. It does not hold for:

- the absolute effect of sums per user that grow by the day (it is another quantity at each look);
- estimates of single days or windows: those are not cumulative;
- sums whose scatter over users outgrows their volume by the day (`noisier` there: 5 to 8 % false alarms);
- a T chosen after seeing the data. `mixing` wants a variance expected beforehand.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray


def mixing(variance: float, level: float = 0.95) -> float:
    """T that makes the interval narrowest at the look where the estimate's variance is `variance`.

    Args:
        variance: expected at the planned end, from traffic and variance **before** the experiment, or the one
            with which a stated smallest effect is found. Being wrong costs width, never validity; being
            changed on seeing results costs validity.
    """
    alpha = 1 - level
    return variance * (-float(scipy.special.lambertw(-(alpha**2) / np.e, -1).real) - 1)


def always_valid(
    value: ArrayLike, variance: ArrayLike, mixing: float, level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(low, high) of cumulative estimates, one or (looks,), valid at all looks together.

    Args:
        variance: of the estimates; where it is not finite or not known the interval is unbounded.
        mixing: T; see `mixing`.
    """
    value, v = np.asarray(value, np.float64), np.asarray(variance, np.float64)
    known = np.isfinite(v) & (v > 0) & np.isfinite(value)
    half = np.where(known, boundary(v, mixing, level) * np.sqrt(np.where(known, v, 1.0)), np.inf)
    middle = np.where(known, value, 0.0)
    return middle - half, middle + half


def boundary(variance: ArrayLike, mixing: float, level: float = 0.95) -> NDArray[np.float64]:
    """(looks,) how many standard errors an estimate may be from the truth, at all looks together; inf where
    its variance is not known."""
    v = np.asarray(variance, np.float64)
    known = np.isfinite(v) & (v > 0)
    v = np.where(known, v, 1.0)
    standard = np.sqrt((v + mixing) / mixing * (np.log1p(mixing / v) - 2 * np.log1p(-level)))
    return np.where(known, standard, np.inf)


def always_valid_p(value: ArrayLike, variance: ArrayLike, mixing: float) -> NDArray[np.float64]:
    """(looks,) p of no effect, valid at all looks together: it never rises as looks are added.

    The interval at a level leaves out 0 at this or an earlier look just where p < 1 - level.
    """
    value, v = np.atleast_1d(np.asarray(value, np.float64)), np.atleast_1d(np.asarray(variance, np.float64))
    known = np.isfinite(v) & (v > 0) & np.isfinite(value)
    v, value = np.where(known, v, 1.0), np.where(known, value, 0.0)
    log_p = 0.5 * (np.log1p(mixing / v) - value**2 * mixing / (v * (v + mixing)))
    return np.asarray(np.minimum.accumulate(np.exp(np.minimum(0.0, np.where(known, log_p, 0.0)))))


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """(m,) p values adjusted for m tests by Holm's step-down; those that are NaN are no tests and stay NaN.

    Rejecting where the adjusted p is below alpha keeps the chance of any false rejection below alpha,
    however the metrics depend on each other. p values that hold at every look stay so.
    """
    values = np.asarray(p, np.float64)
    out = np.full(len(values), np.nan)
    tests = np.flatnonzero(~np.isnan(values))
    order = tests[np.argsort(values[tests], kind="stable")]
    raised = values[order] * np.arange(len(order), 0, -1)
    out[order] = np.minimum(1.0, np.maximum.accumulate(raised))
    return out
