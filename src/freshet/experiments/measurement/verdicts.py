"""What may be said of an arm: by every look so far, or by one look at the end that was planned."""

from __future__ import annotations

import math
from typing import Literal

from freshet.core.time import DAY, midnight
from freshet.experiments.measurement.measure import Measured

Verdict = Literal[
    "better",
    "worse",
    "reversed",
    "better at the planned end",
    "worse at the planned end",
    "not yet",
    "unclear",
    "no figure",
]
"""`reversed`: an earlier look told the arms apart, and the effect has changed its side since. `not yet`: the
interval for one look tells them apart, but the planned end is not over (or the experiment stopped before)."""


def over(measured: Measured) -> bool:
    """Whether what was collected reaches the day of the planned end."""
    one = measured.experiment
    end = midnight(measured.days[-1]) + DAY
    return min(end, end if one.stop is None else one.stop) >= one.start + one.days * DAY


def verdict(
    effects: tuple[float, float], sign: int, p: tuple[float, float], ended: bool, alpha: float
) -> Verdict:
    """One verdict.

    Args:
        effects: now, and at the look that spoke most against no effect: p at every look is that look's, so
            it says nothing of the side on which the effect is now.
        sign: 1 where more is better, -1 where less is.
        p: of one look now, and of every look.
    """
    now, then = effects
    if not math.isfinite(now):
        return "no figure"
    good = now * sign > 0
    if p[1] < alpha:
        return ("better" if good else "worse") if now * then > 0 else "reversed"
    if p[0] < alpha:
        return ("better at the planned end" if good else "worse at the planned end") if ended else "not yet"
    return "unclear"
