"""Refresh when what people move on to has changed beyond chance since the last refresh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from freshet.core.ports import Looks
from freshet.core.types import CadenceDecision, FloatArray, Signs
from freshet.stages.schedule.drift_test import Surprise, windows

LENGTHS = (1, 2, 4, 8, 16)
"""Recent days that are compared, in sevenths of a window; what of them fits since the last refresh."""
EARNED_AT = (1.5, 2.0, 3.0)
"""Ages at which what a finding earned is spent, in multiples of `every`."""
ENOUGH = 199
"""Draws behind a p-value, at least."""
STAGES = ((39, 0.1), (199, 0.02))
"""Draws after which a comparison with a p-value above the bound is given up: it looks like chance."""


@dataclass(frozen=True, slots=True)
class DriftTriggered:
    """A test at every look, valid at every look.

    The surprise of recent transitions under a reference window before the last refresh is compared, for each
    group of contexts and for everybody's popularity, with draws in which nothing but chance differs
    (`surprise`). Groups are tested together by the largest standardised surprise (Westfall and Young, 1993),
    lengths of the recent days by Bonferroni. In a world that stands still a look refreshes with a probability
    of at most `alpha`. Slow drift is too small to be seen so surely in a few days, so a finding earns looks
    with less doubt (alpha-investing, Foster and Stine, 2008): `earned` in all, at three ages of the table it
    led to. So 91 daily looks refresh needlessly 91 * alpha / (1 - earned) times at most on average: 0.9.

    A change is followed by refreshes as its counts come in, which `every` and `burst` bound.

    Attributes:
        alpha: chance of a needless refresh at one look.
        every, burst: a refresh costs one of at most `burst` permits; one comes back in `every` days.
        reference: windows before the last refresh that the recent days are compared with.
        groups: groups of contexts.
        earned: needless refreshes that one finding may lead to; below 1, or there would be no end of them.
        seed: of the draws; each day has its own.
    """

    alpha: float = 0.004
    every: float = 4.0
    burst: int = 2
    reference: int = 4
    groups: int = 6
    earned: float = 0.6
    seed: int = 0

    @property
    def looks(self) -> Looks:
        return Looks(rows=True)

    def decide(self, signs: Signs) -> CadenceDecision:
        """The statistic is the least p-value times the number of lengths, the threshold that of the look."""
        permits = left(signs.refreshes, signs.day, self.every, self.burst)
        if permits < 1:
            why = f"refreshed {self.burst} times lately: no more than one in {self.every:g} days on average"
            return CadenceDecision(False, 1.0, self.alpha, why)
        rng = np.random.default_rng([self.seed, signs.day])
        unit = max(1, signs.window_days // 7)
        lengths = [length * unit for length in LENGTHS if length * unit <= signs.age]
        alpha = self._earned(signs, unit)
        if lengths and alpha > self.alpha:
            p = self._p_value(signs, lengths[-1], rng, alpha)
            if p <= alpha:
                why = f"the last {lengths[-1]} days differ from before once more (p = {p:.3g})"
                return CadenceDecision(True, p, alpha, why)
        least = 1.0
        for length in lengths:
            least = min(least, len(LENGTHS) * self._p_value(signs, length, rng, self.alpha))
            if least <= self.alpha:
                why = (
                    f"what people moved on to in the last {length} days differs from before (p = {least:.3g})"
                )
                return CadenceDecision(True, least, self.alpha, why)
        why = f"no change beyond chance in {signs.age} days (p = {least:.2g}, needs {self.alpha:g})"
        return CadenceDecision(False, least, self.alpha, why)

    def _earned(self, signs: Signs, unit: int) -> float:
        """What the last finding earned for this look."""
        every = max(self.every, unit)
        due = len(signs.refreshes) > 1 and signs.age in [round(times * every) for times in EARNED_AT]
        return self.earned / len(EARNED_AT) if due else 0.0

    def _p_value(self, signs: Signs, length: int, rng: np.random.Generator, alpha: float) -> float:
        enough = max(ENOUGH, int(np.ceil(len(LENGTHS) / alpha)) - 1)
        return p_value(signs, length, rng, alpha, enough, self.reference, self.groups)


def p_value(
    signs: Signs,
    length: int,
    rng: np.random.Generator,
    alpha: float,
    enough: int,
    reference: int,
    groups: int,
) -> float:
    """Chance of so large a surprise in any group; an early guess where it is no small one.

    Args:
        length: recent days that are compared.
        alpha: what p-values are held against; those beyond twice as much may be guessed.
        enough: draws behind a small p-value.
        reference: windows before the last refresh that the recent days are compared with.
        groups: groups of contexts.
    """
    days = reference * signs.window_days
    found = windows(signs.transitions, signs.refreshes[-1], signs.day, length, days, groups)
    if not (found.chunk == 0).any() or (found.chunk == 0).all():
        return 1.0
    surprise = Surprise(found)
    values: FloatArray = surprise.observed[None, :]
    for draws, hopeless in STAGES:
        if draws < enough:
            values = _with(values, surprise.draws(draws + 1 - len(values), rng))
            if (p := exceeding(values)) > max(hopeless, 2 * alpha):
                return p
    return exceeding(_with(values, surprise.draws(enough + 1 - len(values), rng)))


def _with(values: FloatArray, more: FloatArray) -> FloatArray:
    return np.asarray(np.concatenate([values, more]), np.float64)


def exceeding(values: FloatArray) -> float:
    """Share of rows whose largest standardised column is at least that of the first, observed one."""
    spread = values.std(axis=0)
    largest = ((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)).max(axis=1)
    return float((largest >= largest[0]).mean())


def left(refreshes: tuple[int, ...], day: int, every: float, burst: int) -> float:
    """Permits on a day: `burst` at first; a refresh but the first spends one; one is back in `every` days."""
    permits, since = float(burst), refreshes[0]
    for spent in refreshes[1:]:
        permits = min(permits + (spent - since) / every, burst) - 1
        since = spent
    return min(permits + (day - since) / every, burst)
