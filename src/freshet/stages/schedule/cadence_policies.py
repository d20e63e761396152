"""Cadences that look at no drift: every so many days, or by the expected cost of waiting.

`CostAware` refreshes when one more day of waiting is expected to cost more than a day of refreshing does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.ports import Looks
from freshet.core.types import BoolArray, CadenceDecision, FloatArray, Signs, Staleness


@dataclass(frozen=True, slots=True)
class Fixed:
    """The statistic is the age of the table in days."""

    days: int

    @property
    def looks(self) -> Looks:
        return Looks()

    def decide(self, signs: Signs) -> CadenceDecision:
        """Due once the table is `days` old."""
        due = signs.age >= self.days
        why = (
            f"its table is {signs.age} days old, a new one is due every {self.days}"
            if due
            else f"it is younger than {self.days} days: nothing is due"
        )
        return CadenceDecision(due, float(signs.age), float(self.days), why)


LONG = 4.0
"""Half-life, in windows, of what age has cost usually."""
SHORT = 3.0
"""Half-life, in sevenths of a window, of what it costs lately."""
YOUNGEST = 2.0
"""Sevenths of a window before a table is replaced: a younger one shows nothing of what age costs."""
SURPRISING = 2.0
"""Standard errors by which late losses must differ from the usual ones to be believed alone."""


@dataclass(frozen=True, slots=True)
class Slope:
    """Hits lost per transition and day of age, with its standard error."""

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class CostAware:
    """Staleness against the price of a refresh, after CARA (arXiv 2310.04216).

    What age costs is estimated from the past alone: how many hits fresh counts had above the table in use, on
    transitions seen so far, per day of age. Expected loss of a day = that, times age, transitions per day and
    the value of a hit. The table is refreshed on the first day whose loss is at least the average cost of a
    day if it is refreshed now: (refresh + losses since the last one) / age. Where losses grow evenly with
    age, that is the day on which the losses since the last refresh reach the cost of a refresh; after a
    sudden change it comes earlier.

    Attributes:
        hit_value: money per successor among the first five.
    """

    hit_value: float

    @property
    def looks(self) -> Looks:
        return Looks(staleness=True)

    def decide(self, signs: Signs) -> CadenceDecision:
        """The statistic is the expected loss of today, the threshold the average cost of a day; in money."""
        if signs.age < YOUNGEST * max(1.0, signs.window_days / 7) or not len(signs.staleness):
            why = f"a table {signs.age} days old has told nothing yet of what its age costs"
            return CadenceDecision(False, 0.0, signs.cost, why)
        traffic, slope = signs.traffic, loss_per_day_of_age(signs)
        today = slope * signs.age * traffic * self.hit_value
        so_far = lost_since(signs, slope) * self.hit_value
        threshold = (signs.cost + so_far) / signs.age
        due = today >= threshold
        why = (
            f"waiting costs {today:.3g} a day at {signs.age} days of age, refreshing now "
            f"{threshold:.3g} a day (of {signs.cost:.3g} per refresh and {so_far:.3g} lost so far)"
        )
        return CadenceDecision(due, today, threshold, why)


def loss_per_day_of_age(signs: Signs) -> float:
    """Hits lost per transition and day of age: the usual ones, unless those since the last refresh differ."""
    back = (signs.day - 1 - signs.staleness.day).astype(np.float64)
    usual = slope(signs.staleness, 0.5 ** (back / (LONG * signs.window_days)), back >= 0)
    short = SHORT * max(1.0, signs.window_days / 7)
    late = slope(signs.staleness, 0.5 ** (back / short), signs.staleness.day >= signs.refreshes[-1])
    apart = abs(late.value - usual.value) > SURPRISING * late.error
    return max(0.0, late.value if apart else usual.value)


def lost_since(signs: Signs, slope: float) -> float:
    """Hits lost since the last refresh: those seen, or those that losses growing with age would make."""
    rows = signs.staleness.day >= signs.refreshes[-1]
    mean = float(lost_hits(signs.staleness)[rows].mean()) if rows.any() else 0.0
    return max(mean * signs.traffic * signs.age, slope * signs.traffic * signs.age * (signs.age - 1) / 2, 0.0)


def lost_hits(staleness: Staleness) -> FloatArray:
    """(m,) 1 where only fresh counts had the successor among the first five, -1 where only the table had."""
    return staleness.fresh_hit.astype(np.float64) - staleness.stale_hit


def slope(staleness: Staleness, weight: FloatArray, rows: BoolArray | NDArray[np.int64]) -> Slope:
    """Weighted regression of lost hits on age through the origin; a refreshed table has lost nothing yet."""
    age, weight = staleness.age[rows].astype(np.float64), weight[rows]
    lost = lost_hits(staleness)[rows]
    scale = float((weight * age**2).sum())
    if scale == 0:
        return Slope(0.0, np.inf)
    value = float((weight * age * lost).sum()) / scale
    error = float(np.sqrt(((weight * age * (lost - value * age)) ** 2).sum())) / scale
    return Slope(value, error)
