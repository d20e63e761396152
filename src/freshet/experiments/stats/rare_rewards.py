"""Intervals of sums of a few weighted rewards, which are skewed: a log that lacks a heavy one tells nobody.

A sum of w r over rewards that are rare is a weighted sum of Poisson counts. Fay and Feuer (1997), "Confidence
intervals for directly standardized rates", take it for a gamma variable of the same mean and variance, and
for the upper end add one more event, as heavy as the heaviest. With the weight that the target's own actions
have on average instead (as Tiwari, Clegg and Zou 2006 do), intervals hold as often as they should and are far
narrower: decision 53. Where there are many rewards, both ends become those of a normal distribution.
"""

from __future__ import annotations

import math

import scipy

from freshet.experiments.stats.effects import Estimate


def skewed(found: Estimate, earned: float, step: float, level: float) -> Estimate:
    """The estimate with a gamma interval.

    Args:
        found: value and variance of the estimate.
        earned: the part of the value that rewards make, >= 0; what is left shifts the interval.
        step: what one more reward would add to the value, > 0.
        level: of the interval.
    """
    if not (earned >= 0 and step > 0 and found.variance >= 0):
        return found
    shift, tail = found.value - earned, (1 - level) / 2
    low = _quantile(earned, found.variance, tail)
    high = _quantile(earned + step, found.variance + step**2, 1 - tail)
    return Estimate(found.value, shift + low, shift + high, found.variance)


def _quantile(mean: float, variance: float, share: float) -> float:
    """Of a gamma variable; one without spread is its mean."""
    if not (mean > 0 and variance > 0):
        return mean
    return float(scipy.special.gammaincinv(mean**2 / variance, share)) * variance / mean


def difference(one: Estimate, other: Estimate, found: Estimate) -> Estimate:
    """one - other with an interval as lopsided as theirs (Zou and Donner 2008); both are of the same rows.

    Args:
        found: the difference's value and variance, which say how much both have in common.
    """
    both = 2 * math.sqrt(one.variance * other.variance)
    alike = (one.variance + other.variance - found.variance) / both if both > 0 else 0.0
    alike = min(1.0, max(-1.0, alike))

    def reach(mine: float, its: float) -> float:
        return math.sqrt(max(0.0, mine**2 + its**2 - 2 * alike * mine * its))

    low = found.value - reach(one.value - one.low, other.high - other.value)
    high = found.value + reach(one.high - one.value, other.value - other.low)
    return Estimate(found.value, low, high, found.variance)
