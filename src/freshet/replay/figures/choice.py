"""Which strategy to run: the cheapest that none was shown to beat.

The burden of proof lies on what costs more. An arm is ruled out by another whose hit@5 is higher beyond its
interval, unless the interval also shows the gain to be below the margin. Of the arms left, the cheapest is
recommended. Where another may still be better by the margin, that is said, and how long a log would tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freshet.replay.figures.differences import enough, hit_at_5
from freshet.replay.figures.measures import Measured


@dataclass(frozen=True, slots=True)
class Choice:
    """The arm to run.

    Attributes:
        best: the arm with the highest hit@5.
        cheaper: how many arms cost less.
        rival: of the other arms, the one that may be furthest ahead; None where there is no other.
        ahead: rival minus arm, hit@5 `{value, ci95}`.
        shown: no other arm can be ahead by the margin, as far as the intervals say.
        needed: transitions it would take to tell the two apart or equal, about; None where shown.
    """

    arm: str
    best: str
    cheaper: int
    rival: str | None
    ahead: dict[str, Any]
    shown: bool
    needed: int | None


def choose(
    measured: Mapping[str, Measured], price: Mapping[str, float], transitions: int, margin: float
) -> Choice:
    """Choose among arms.

    Args:
        price: cost of every arm in one unit.
    """
    hit = {arm: float(found.ranks["hit_at_5"][0, 0]) for arm, found in measured.items()}
    best = min(hit, key=lambda arm: (-hit[arm], price[arm]))
    left = [
        arm
        for arm in measured
        if not any(_beats(measured[other], measured[arm], margin) for other in measured if other != arm)
    ]
    # circles (a beats b beats c beats a) can't be ruled out; the best is then what remains
    arm = min(left or [best], key=lambda one: (price[one], -hit[one]))
    cheaper = sum(price[other] < price[arm] for other in measured)
    leads = {other: hit_at_5(measured[other], measured[arm]) for other in measured if other != arm}
    rival = max(leads, key=lambda other: _bounds(leads[other])[1], default=None)
    if rival is None:
        return Choice(arm, best, cheaper, None, {"value": 0.0, "ci95": [0.0, 0.0]}, True, None)
    ahead = leads[rival]
    most = _bounds(ahead)[1]
    shown = most < 0 or (most < margin and enough(measured[arm].users, margin))
    needed = None if shown else _needed(ahead, transitions, margin)
    return Choice(arm, best, cheaper, rival, ahead, shown, needed)


def _beats(a: Measured, b: Measured, margin: float) -> bool:
    low, high = _bounds(hit_at_5(a, b))
    return low > 0 and high >= margin


def _bounds(difference: Mapping[str, Any]) -> tuple[float, float]:
    """The interval; without one, nothing is excluded."""
    low, high = difference["ci95"] or (-1.0, 1.0)
    return low, high


def _needed(ahead: Mapping[str, Any], transitions: int, margin: float) -> int:
    """Transitions at which the interval leaves out zero or the margin, if the difference stays as it is.

    Widths shrink with the square root of the number of transitions.
    """
    low, high = _bounds(ahead)
    low, high = (low, high) if high > low else (-margin, margin)
    wanted = max(margin - (ahead["value"] or 0.0), ahead["value"] or 0.0)
    return max(int(-(-transitions * ((high - low) / 2 / wanted) ** 2 // 1000) * 1000), transitions)
