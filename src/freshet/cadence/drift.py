"""Refresh when what people move on to has changed beyond chance since the last refresh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from freshet.cadence.surprise import Surprise, windows
from freshet.types import CadenceDecision, FloatArray, Signs

LENGTHS = (1, 2, 4, 8, 16)
"""Recent days that are compared, in sevenths of a window; what of them fits since the last refresh."""
STAGES = ((39, 0.1), (199, 0.02))
"""Draws after which a comparison with a p-value above the bound is given up: it looks like chance."""


@dataclass(frozen=True, slots=True)
class DriftTriggered:
    """A test at every look, valid at every look.

    The surprise of recent transitions under a reference window before the last refresh is compared, for each
    group of contexts and for everybody's popularity, with draws in which nothing but chance differs
    (`surprise`). Groups are judged together by the largest standardised surprise (Westfall and Young, 1993),
    lengths of the recent days by Bonferroni. In a world that stands still a look refreshes with a probability
    of at most `alpha`, so 91 daily looks refresh needlessly 91 * alpha times at most on average.

    A change is followed by refreshes as its counts come in, which `every` and `burst` bound.

    Attributes:
        alpha: chance of a needless refresh at one look.
        every, burst: a refresh costs one of at most `burst` permits; one comes back in `every` days.
        reference: windows before the last refresh that the recent days are compared with.
        groups: groups of contexts.
        draws: draws behind a p-value.
        seed: of the draws; each day has its own.
    """

    alpha: float = 0.005
    every: float = 4.0
    burst: int = 2
    reference: int = 4
    groups: int = 6
    draws: int = 999
    seed: int = 0

    def decide(self, signs: Signs) -> CadenceDecision:
        """The statistic is the least p-value, times the number of lengths."""
        permits = left(signs.refreshes, signs.day, self.every, self.burst)
        if permits < 1:
            why = f"refreshed {self.burst} times lately: no more than one in {self.every:g} days on average"
            return CadenceDecision(False, 1.0, self.alpha, why)
        rng = np.random.default_rng([self.seed, signs.day])
        unit = max(1, signs.window_days // 7)
        least, days = 1.0, 0
        for length in LENGTHS:
            if length * unit > signs.age:
                break
            p = min(1.0, len(LENGTHS) * self._p_value(signs, length * unit, rng))
            if p < least:
                least, days = p, length * unit
            if least <= self.alpha:
                break
        if least <= self.alpha:
            why = f"what people moved on to in the last {days} days differs from before (p = {least:.3g})"
        else:
            why = f"no change beyond chance in {signs.age} days (p = {least:.2g}, needs {self.alpha:g})"
        return CadenceDecision(least <= self.alpha, least, self.alpha, why)

    def _p_value(self, signs: Signs, length: int, rng: np.random.Generator) -> float:
        """Chance of so large a surprise in any group; an early guess where it is no small one."""
        reference = self.reference * signs.window_days
        found = windows(signs.transitions, signs.refreshes[-1], signs.day, length, reference, self.groups)
        if not (found.chunk == 0).any() or (found.chunk == 0).all():
            return 1.0
        surprise = Surprise(found)
        values: FloatArray = surprise.observed[None, :]
        for draws, hopeless in STAGES:
            values = _with(values, surprise.draws(min(draws, self.draws) + 1 - len(values), rng))
            p = exceeding(values)
            if p > hopeless or draws >= self.draws:
                return p
        return exceeding(_with(values, surprise.draws(self.draws + 1 - len(values), rng)))


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
