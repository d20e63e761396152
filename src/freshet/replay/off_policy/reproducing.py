"""How well the log's own propensities come out again: where they don't, no other policy's would either."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import BoolArray, Strategy
from freshet.replay.off_policy.decisions import Decisions
from freshet.replay.off_policy.looking import Again, Way

EXACT, NEAR = 0.01, 0.1
"""Propensities that differ by less than this share of them are the same, or nearly so."""
WANTED = 0.95
"""Share of the propensities that should come out nearly the same."""


@dataclass(frozen=True, slots=True)
class Reproduced:
    """First places that one way of answering was logged for.

    Attributes:
        experiment, arm: '' where there was none.
        rows: those whose users' context came out again.
        exact, near: share of them whose propensity came out again within 1 % and within 10 %.
        apart: share of choices that would be others: half the mean of |again / propensity - 1|, the total
            variation between the policy that was logged and the one that answered again.
    """

    experiment: str
    arm: str
    strategy: Strategy
    rows: int
    exact: float
    near: float
    apart: float

    @property
    def poor(self) -> bool:
        return self.near < WANTED


def by_arm(asked: Decisions, logged: list[Way], again: Again) -> tuple[Reproduced, ...]:
    """How well each arm's propensities come out again, by name of experiment and arm."""
    ways = [(*name, way.strategy) for name, way in zip(asked.arm, logged, strict=True)]
    away = deviations(asked, again)
    found = []
    for experiment, arm, strategy in sorted(set(ways)):
        rows = again.same & np.array([way == (experiment, arm, strategy) for way in ways], bool)
        if rows.any():
            told = away[rows]
            shares = float((told < EXACT).mean()), near(told), float(told.mean()) / 2
            found.append(Reproduced(experiment, arm, strategy, int(rows.sum()), *shares))
    return tuple(found)


def deviations(asked: Decisions, again: Again) -> NDArray[np.float64]:
    """(n,) how far each propensity is off when it is made again, over itself."""
    return np.asarray(np.abs(again.again / asked.propensity - 1))


def near(away: NDArray[np.float64]) -> float:
    """Share of propensities that come out nearly the same."""
    close: BoolArray = away < NEAR
    return float(close.mean())
