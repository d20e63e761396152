"""The effect of an arm against control, from moments over users.

Metrics are linearised (`linear`), so that variances are clustered by user.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from freshet.experiments.linear import Arm, dearer, linearised, theta_of
from freshet.experiments.moments import Moments

LOOSE = 0.1
"""Relative standard error of a sum beyond which the delta method, which takes ratios as linear, is rough."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, its interval and the variance of the figure (not of users)."""

    value: float
    low: float
    high: float
    variance: float


@dataclass(frozen=True, slots=True)
class Effect:
    """Treatment against control.

    Attributes:
        users: of control and of treatment.
        control, treatment: the metric in each arm, covariates adjusted for where asked.
        absolute: treatment - control, in the metric's unit.
        relative: treatment / control - 1; its interval is unbounded where control can't be told from zero.
        p: two-sided, of no difference (Welch's test of the linearised metric).
        df: degrees of freedom behind interval and p (Welch-Satterthwaite).
        level: of the intervals.
        saved: share of the absolute effect's variance that covariates took away, 0 without.
        note: why a figure is missing or rough; empty where all is well.
    """

    users: tuple[int, int]
    control: float
    treatment: float
    absolute: Estimate
    relative: Estimate
    p: float
    df: float
    level: float
    saved: float
    note: str


def ratio(moments: Moments, level: float = 0.95) -> Estimate:
    """The metric in one arm, sum(y) / sum(d), clustered by user."""
    arm = linearised(moments, 0)
    return _estimate(arm.value, float(arm.error[0, 0]), moments.n - 1, level)


def effect(control: Moments, treatment: Moments, level: float = 0.95, *, adjusted: bool = False) -> Effect:
    """Treatment against control, absolute and relative, with intervals by the delta method.

    Args:
        adjusted: use the covariates (columns 2 on) for what they explain (CUPED: Deng, Xu, Kohavi and Walker
            2013). Their coefficients are common to both arms and chosen so that the absolute effect varies
            least. Both arms are moved to the covariates' common mean, so the effect stays what it is, and its
            variance falls to 1 - rho^2 of what it was.

    Without users, without a denominator or without variance the figures are NaN or unbounded, and `note`
    says so; nothing is raised.
    """
    covariates = len(control.mean) - 2 if adjusted else 0
    c, t = linearised(control, covariates), linearised(treatment, covariates)
    theta = theta_of(c.error + t.error, c.past)
    share = t.n / max(1, c.n + t.n)
    apart = float(theta @ (t.past - c.past))
    here, there = c.value + share * apart, t.value - (1 - share) * apart
    dear = dearer(c.n + t.n - 2, covariates)

    parts = [dear * arm.variance(1.0, -theta) for arm in (c, t)]
    df = _welch(parts, (c.n, t.n))
    absolute = _estimate(there - here, sum(parts), df, level)
    relative = _estimate(*_relative(c, t, theta, here, there), df, level, dear)
    if _unknown(c, here, level):  # where Fieller's interval is unbounded, too
        relative = Estimate(relative.value, -math.inf, math.inf, relative.variance)
    plain = float(c.error[0, 0] + t.error[0, 0])
    saved = 1 - absolute.variance / plain if plain > 0 else 0.0
    note = _note(control, treatment, c, here, level)
    return Effect(
        (c.n, t.n), here, there, absolute, relative, _two_sided(absolute, df), df, level, saved, note
    )


def _relative(c: Arm, t: Arm, theta: NDArray[np.float64], here: float, there: float) -> tuple[float, float]:
    """treatment / control - 1 and its variance; both adjusted values hold the difference of covariates."""
    if not (here and c.value):
        return math.nan, math.inf
    by_t, by_c = 1 / here, -there / here / here
    share = t.n / max(1, c.n + t.n)
    past = (by_c * share - by_t * (1 - share)) * theta
    return there / here - 1, t.variance(by_t, past) + c.variance(by_c, -past)


def _unknown(control: Arm, value: float, level: float) -> bool:
    """Whether control's value, adjusted or not, can't be told from zero."""
    return abs(value) <= _quantile(level, control.n - 1) * math.sqrt(control.error[0, 0])


def _estimate(value: float, variance: float, df: float, level: float, dear: float = 1.0) -> Estimate:
    variance *= dear
    half = _quantile(level, df) * math.sqrt(variance) if variance >= 0 else math.nan
    return Estimate(value, value - half, value + half, variance)


def _quantile(level: float, df: float) -> float:
    return float(special.stdtrit(df, (1 + level) / 2)) if df > 0 else math.nan


def _two_sided(found: Estimate, df: float) -> float:
    """p of no difference; where nothing varies, 1 if nothing differs and 0 if anything does."""
    if found.variance == 0:
        return float(found.value == 0)
    if not (found.variance > 0 and df > 0):
        return math.nan
    return 2 * float(special.stdtr(df, -abs(found.value) / math.sqrt(found.variance)))


def _welch(parts: list[float], users: tuple[int, int]) -> float:
    """Welch-Satterthwaite; where nothing varies, any will do."""
    if min(users) < 2:
        return math.nan
    whole = sum(parts)
    first = parts[0] / whole if whole else 0.5  # control's part of the variance
    return 1 / (first**2 / (users[0] - 1) + (1 - first) ** 2 / (users[1] - 1))


def _note(control: Moments, treatment: Moments, arm: Arm, value: float, level: float) -> str:
    """What to know about the figures: the gravest alone."""
    for name, one in (("control", control), ("treatment", treatment)):
        if one.n < 2:
            return f"{name} has {one.n} users: there is no interval below two"
        if not one.mean[1]:
            return f"nobody in {name} has anything to count the metric over (its denominator is 0)"
    if not arm.value:
        return "the metric is 0 in control: there is no relative effect, see the absolute one"
    if _unknown(arm, value, level):
        return "control can't be told from 0: the relative effect is unbounded, see the absolute one"
    rough = max(_looseness(control, 0), _looseness(control, 1), _looseness(treatment, 1))
    return f"a sum behind it is known to {rough:.0%} only: the intervals are rough" if rough > LOOSE else ""


def _looseness(moments: Moments, column: int) -> float:
    """Relative standard error of a mean."""
    error = math.sqrt(moments.covariance[column, column] / moments.n)
    return error / abs(moments.mean[column]) if error else 0.0
