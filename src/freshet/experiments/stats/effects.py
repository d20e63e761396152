"""The effect of an arm against control, from moments over users; skewed outcomes and small arms included.

Metrics are linearised (`linear`), so that variances are clustered by user. How often the intervals hold is
measured by `benchmarks/experiment_statistics.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from freshet.experiments.stats.moments import Arm, Moments, dearer, linearised, theta_of

Terms = tuple[float, float, float]
"""Of a polynomial of degree two, lowest first."""
LOOSE = 0.1
"""Relative standard error of a sum beyond which sums are not normal yet, nor ratios linear."""
FEWEST = 2
"""Effective users of an arm below which nothing is known of how they vary."""


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

    Intervals and p stand on the **larger of two variances**: the one with each arm's own spread (Welch's),
    and the one with the other arm's, which is right where the arms are alike. Where outcomes are skewed a
    small arm has a low mean together with a low variance, or both high: the first variance alone takes the
    one for harm, the second alone the other for gain.

    Attributes:
        users: of control and of treatment.
        control, treatment: the metric in each arm, covariates adjusted for where wanted.
        absolute: treatment - control, in the metric's unit.
        relative: treatment / control - 1; its interval (Fieller's) is unbounded above where control can't be
            distinguished from zero. Metrics are sums of counts, so it isn't below -1.
        p: two-sided, of no difference.
        null: variance of (treatment - control) / (mean of both) if there is no effect; inf if not known.
        df: degrees of freedom behind interval and p (Welch-Satterthwaite, of effective users).
        level: of the intervals.
        saved: share of the absolute effect's variance that covariates took away, 0 without.
        note: why a figure is missing or rough; empty where all is well.
        variances: (3 terms each) variances of treatment - rho control for a ratio rho of the arms, as
            polynomials in rho, lowest first.
    """

    users: tuple[int, int]
    control: float
    treatment: float
    absolute: Estimate
    relative: Estimate
    p: float
    null: float
    df: float
    level: float
    saved: float
    note: str
    variances: tuple[Terms, ...]

    def within(self, critical: float) -> tuple[float, float]:
        """Relative effects from which the one found is at most so many standard errors away.

        Args:
            critical: of a normal distribution; that of Student's t which is as rare is taken instead.
        """
        return _within(self.control, self.treatment, self.variances, students(critical, self.df))

    @property
    def z(self) -> float:
        """Standard errors from no effect, as a normal distribution would have them; NaN if not known."""
        spread = _at(self.variances, 1.0)
        if not (0 < spread < math.inf and self.df > 0):
            return math.nan
        t = (self.treatment - self.control) / math.sqrt(spread)
        return math.copysign(float(scipy.special.ndtri(scipy.special.stdtr(self.df, -abs(t)))), t)


def students(critical: float, df: float) -> float:
    """What Student's t exceeds as rarely as a normal variable exceeds `critical`; inf without degrees."""
    return -float(scipy.special.stdtrit(df, scipy.special.ndtr(-critical))) if df > 0 else math.inf


def ratio(moments: Moments, level: float = 0.95) -> Estimate:
    """The metric in one arm, sum(y) / sum(d), clustered by user."""
    arm = linearised(moments, 0)
    variance = float(arm.error[0, 0])
    half = _quantile(level, arm.alike - 1) * math.sqrt(variance) if variance >= 0 else math.nan
    return Estimate(arm.value, arm.value - half, arm.value + half, variance)


def effect(control: Moments, treatment: Moments, level: float = 0.95, *, adjusted: bool = False) -> Effect:
    """Treatment against control, absolute and relative.

    Args:
        adjusted: use the covariates (columns 2 on) for what they explain (CUPED: Deng, Xu, Kohavi and Walker
            2013). Their coefficients are common to both arms and chosen so that the absolute effect varies
            least, by both ways of telling its variance: those of a small arm alone fit too few users. Both
            arms are moved to the covariates' common mean, so the effect stays what it is, and its variance
            falls to 1 - rho^2 of what it was.

    Without users, without a denominator or without variance the figures are NaN or unbounded, and `note`
    says so; nothing is raised.
    """
    covariates = len(control.mean) - 2 if adjusted else 0
    c, t = linearised(control, covariates), linearised(treatment, covariates)
    more = c.n / t.n if c.n and t.n else math.nan
    theta = theta_of(c.error * (1 + more) + t.error * (1 + 1 / more), c.past)
    share = t.n / max(1, c.n + t.n)
    apart = float(theta @ (t.past - c.past))
    here, there = c.value + share * apart, t.value - (1 - share) * apart
    dear = dearer(c.n + t.n - 2, covariates)

    by_c, by_t = (dear * part for part in _polynomials(c, t, theta, share))
    own, other = by_c + by_t, by_c * more + by_t / more
    # a ratio far from 1 changes the spread of rare counts by rho, not by its square
    alone = _terms(own)
    variances = alone, _terms(other), (0.0, float(other.sum()), 0.0)
    df = _welch([float(by_c.sum()), float(by_t.sum())], (c.alike, t.alike))
    spread, mean = _at(variances, 1.0), (1 - share) * here + share * there
    half = _quantile(level, df) * math.sqrt(spread) if spread >= 0 else math.nan
    absolute = Estimate(there - here, there - here - half, there - here + half, float(own.sum()))
    value = there / here - 1 if here and c.value else math.nan
    far = _polynomial(alone, there / here) / here**2 if here and c.value else math.inf
    critical = _quantile(level, df)
    relative = Estimate(value, *_within(here, there, variances, critical), far)
    plain = float(c.error[0, 0] + t.error[0, 0])
    return Effect(
        (c.n, t.n),
        here,
        there,
        absolute,
        relative,
        _two_sided(there - here, spread, df),
        spread / mean**2 if mean > 0 and spread > 0 else math.inf,
        df,
        level,
        1 - absolute.variance / plain if plain > 0 else 0.0,
        _note(control, treatment, (c, t), relative.high),
        variances,
    )


def _polynomials(
    c: Arm, t: Arm, theta: NDArray[np.float64], share: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(3,) what control and what treatment add to the variance of treatment - rho control, by power of rho.

    Both adjusted values hold the difference of covariates, times theta and 1 - share + rho share.
    """
    if not len(theta):
        return np.array([0.0, 0.0, c.error[0, 0]]), np.array([t.error[0, 0], 0.0, 0.0])
    moved = np.array([1 - share, share, 0.0])
    squared = np.array([(1 - share) ** 2, 2 * share * (1 - share), share**2])
    found = []
    for arm, metric, with_moved in (
        (c, np.array([0.0, 0, 1]), np.roll(moved, 1)),
        (t, np.array([1.0, 0, 0]), moved),
    ):
        both, past = float(arm.error[0, 1:] @ theta), float(theta @ arm.error[1:, 1:] @ theta)
        found.append(arm.error[0, 0] * metric - 2 * both * with_moved + past * squared)
    return found[0], found[1]


def _terms(polynomial: NDArray[np.float64]) -> Terms:
    return float(polynomial[0]), float(polynomial[1]), float(polynomial[2])


def _polynomial(terms: Terms, rho: float) -> float:
    found = terms[0] + terms[1] * rho + terms[2] * rho * rho
    return 0.0 if found < 0 else found  # rounding may go below; NaN stays NaN


def _at(variances: Sequence[Terms], rho: float) -> float:
    """The larger variance; NaN where one is not known."""
    found = [_polynomial(one, rho) for one in variances]
    return math.nan if any(map(math.isnan, found)) else max(found)


def _within(here: float, there: float, variances: Sequence[Terms], critical: float) -> tuple[float, float]:
    """Ratios - 1 that are within so many standard errors, by any of the variances (Fieller 1954).

    (there - rho here)^2 <= critical^2 variance(rho) is solved for rho >= 0; the ratio found solves it, so the
    ratios that solve it by any variance are those between the lowest and the highest.
    """
    spread = _at(variances, 1.0)
    if not (here >= 0 and 0 <= spread < math.inf and math.isfinite(critical)):
        return -math.inf, math.inf
    if spread == 0:
        return (there / here - 1, there / here - 1) if here else (-math.inf, math.inf)
    found = [_solved(here, there, one, critical**2) for one in variances]
    low, high = min(one for one, _ in found), max(one for _, one in found)
    return max(-1.0, low - 1) if there >= 0 else low - 1, high - 1


def _solved(here: float, there: float, terms: Terms, squared: float) -> tuple[float, float]:
    """The lowest and highest rho with (there - rho here)^2 <= squared * variance(rho)."""
    square, line, fixed = (
        here * here - squared * terms[2],
        here * there + squared * terms[1] / 2,
        there * there - squared * terms[0],
    )
    root = math.sqrt(max(0.0, line * line - square * fixed))
    if square > 0:
        return (line - root) / square, (line + root) / square
    if fixed <= 0:
        return -math.inf, math.inf
    return fixed / (line + root) if line + root > 0 else math.inf, math.inf


def _quantile(level: float, df: float) -> float:
    return float(scipy.special.stdtrit(df, (1 + level) / 2)) if df > 0 else math.nan


def _two_sided(value: float, variance: float, df: float) -> float:
    """p of no difference; where nothing varies, 1 if nothing differs and 0 if anything does."""
    if variance == 0:
        return float(value == 0)
    if not (variance > 0 and df > 0):
        return math.nan
    return 2 * float(scipy.special.stdtr(df, -abs(value) / math.sqrt(variance)))


def _welch(parts: list[float], users: tuple[float, float]) -> float:
    """Welch-Satterthwaite; where nothing varies, any will do."""
    if min(users) < FEWEST:
        return math.nan
    whole = sum(parts)
    first = parts[0] / whole if whole else 0.5  # control's part of the variance
    return 1 / (first**2 / (users[0] - 1) + (1 - first) ** 2 / (users[1] - 1))


def _note(control: Moments, treatment: Moments, arms: tuple[Arm, Arm], high: float) -> str:
    """What to know about the figures: the gravest alone."""
    for name, one, arm in zip(("control", "treatment"), (control, treatment), arms, strict=True):
        if one.n < 2:
            return f"{name} has {one.n} users: there is no interval below two"
        if not one.mean[1]:
            return f"nobody in {name} has anything to count the metric over (its denominator is 0)"
        if arm.alike < FEWEST:
            return f"one user in {name} has most of what the metric counts over: there is no interval"
    if not arms[0].value:
        return "the metric is 0 in control: there is no relative effect, see the absolute one"
    if high == math.inf:
        return "control can't be told from 0: the relative effect is unbounded, see the absolute one"
    rough = max(_looseness(one, column) for one in (control, treatment) for column in (0, 1))
    return f"a sum behind it is known to {rough:.0%} only: the figure is rough" if rough > LOOSE else ""


def _looseness(moments: Moments, column: int) -> float:
    """Relative standard error of a mean; 0 of one that is 0, which other notes are about."""
    error, mean = math.sqrt(moments.covariance[column, column] / moments.n), abs(moments.mean[column])
    return error / mean if error and mean else 0.0
