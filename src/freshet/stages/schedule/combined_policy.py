"""Refresh when waiting costs more than refreshing; an abrupt change counts as a loss once it is found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from freshet.core.ports import Looks
from freshet.core.types import BoolArray, CadenceDecision, Signs
from freshet.stages.schedule.cadence_policies import CostAware, loss_per_day_of_age, lost_since
from freshet.stages.schedule.drift_policy import left, p_value

LENGTHS = (1, 2, 4)
"""Recent days that are compared, in sevenths of a window: slow drift is left to what age is seen to cost."""
LATELY = 2
"""Sevenths of a window before the last refresh: hits that were missing there already have been answered."""
DRAWS = 599
"""Draws behind a p-value, at least."""


@dataclass(frozen=True, slots=True)
class Combined:
    """The cost policy, told of abrupt changes by the drift test.

    What age costs is learned by comparing the table in use with fresh counts. That is slow to see a jump, of
    which fresh counts know nothing yet. The drift test sees it the next day, but can't say whether a refresh
    is worth its price. So a finding is given a price: the share of hits that the table in use lost in the
    days that differ, one standard error added. That is the expected loss of today, and it is held against
    the same threshold as the loss by age: (refresh + losses so far) / age.

    A refresh brings back only a part of what a jump costs, for a day of counts is few. So hits that were
    missing just before the last refresh are no reason for another: it has answered them, and what more counts
    bring is for the loss by age to say.

    Attributes:
        hit_value: money per successor among the first five.
        alpha: chance of a finding at one look in a world that stands still.
        every, burst: a finding needs one of at most `burst` permits; any refresh spends one, and one comes
            back in `every` sevenths of a window.
        reference, groups, seed: as of `DriftTriggered`.
    """

    hit_value: float
    alpha: float = 0.01
    every: float = 4.0
    burst: int = 2
    reference: int = 4
    groups: int = 6
    seed: int = 0

    @property
    def looks(self) -> Looks:
        return Looks(rows=True, staleness=True)

    def decide(self, signs: Signs) -> CadenceDecision:
        """The statistic is the expected loss of today, the threshold the average cost of a day; in money."""
        by_age = CostAware(self.hit_value).decide(signs)
        if by_age.refresh:
            return by_age
        unit = max(1, signs.window_days // 7)
        every = self.every * unit
        if left(signs.refreshes, signs.day, every, self.burst) < 1:
            why = f"{by_age.why}; no test after so many refreshes lately: one in {every:g} days on average"
            return CadenceDecision(False, by_age.statistic, by_age.threshold, why)
        length, p = self._found(signs, unit)
        if not length:
            why = f"{by_age.why}; no abrupt change beyond chance (p = {p:.2g}, needs {self.alpha:g})"
            return CadenceDecision(False, by_age.statistic, by_age.threshold, why)
        lost = missing_hits(signs, length, LATELY * unit) * signs.traffic * self.hit_value
        today = max(lost, by_age.statistic)
        so_far = max(lost_since(signs, loss_per_day_of_age(signs)) * self.hit_value, today * length)
        threshold = (signs.cost + so_far) / signs.age
        days = f"the last {length} days" if length > 1 else "the last day"
        why = (
            f"what people moved on to in {days} differs from before (p = {p:.2g}): lost hits cost up to "
            f"{today:.3g} a day, refreshing now {threshold:.3g} a day (of {signs.cost:.3g} per refresh "
            f"and {so_far:.3g} lost so far)"
        )
        return CadenceDecision(today >= threshold, today, threshold, why)

    def _found(self, signs: Signs, unit: int) -> tuple[int, float]:
        """How many recent days differ from before, 0 = no change found; and the p-value of all lengths."""
        rng = np.random.default_rng([self.seed, signs.day])
        least = 1.0
        for length in [length * unit for length in LENGTHS if length * unit <= signs.age]:
            p = p_value(signs, length, rng, self.alpha / len(LENGTHS), DRAWS, self.reference, self.groups)
            least = min(least, len(LENGTHS) * p)
            if least <= self.alpha:
                return length, least
        return 0, least


def missing_hits(signs: Signs, length: int, lately: int) -> float:
    """Hits per transition that the table in use lacks in the last `length` days, and a standard error more.

    Against what tables hit before those days; or in the `lately` days before the last refresh, if that is
    less. 0 where nothing is there to compare.
    """
    day, hit = signs.staleness.day, signs.staleness.stale_hit
    recent = (day >= signs.day - length) & (day < signs.day)
    last = signs.refreshes[-1]
    usual = (day < signs.day - length, (day >= last - lately) & (day < last))
    found = [fall(hit[rows], hit[recent]) for rows in usual if rows.any() and recent.any()]
    return max(0.0, min(found)[1]) if found else 0.0


def fall(before: BoolArray, after: BoolArray) -> tuple[float, float]:
    """By how much the share of hits fell: as seen, and with its standard error added."""
    seen = float(before.mean() - after.mean())
    error = float(np.sqrt(before.var() / len(before) + after.var() / len(after)))
    return seen, seen + error
