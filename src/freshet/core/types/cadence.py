"""What a cadence policy sees and decides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types.interests import BoolArray
from freshet.core.types.transitions import Transitions


@dataclass(frozen=True, slots=True)
class Staleness:
    """Transitions evaluated twice: by the table in use at their time, and by counts of the day before.

    Attributes:
        user: (m,) key of the user.
        day: (m,) days since 1970-01-01.
        age: (m,) age of the table in use, in days.
        stale_hit, fresh_hit: (m,) whether the successor was among the first 5, by each.
        stale_nll, fresh_nll: (m,) nats of the successor, by each.
    """

    user: NDArray[np.uint64]
    day: NDArray[np.int32]
    age: NDArray[np.int32]
    stale_hit: BoolArray
    fresh_hit: BoolArray
    stale_nll: NDArray[np.float64]
    fresh_nll: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.day)

    @classmethod
    def none(cls) -> Staleness:
        """Nothing has been evaluated."""
        days, hits, nats = np.zeros(0, np.int32), np.zeros(0, bool), np.zeros(0)
        return cls(np.zeros(0, np.uint64), days, days, hits, hits, nats, nats)


@dataclass(frozen=True, slots=True)
class Signs:
    """What a cadence policy sees on a morning; nothing of that day or later.

    Attributes:
        day: the day, in days since 1970-01-01.
        refreshes: days of the refreshes so far, ascending; the last one made the table in use.
        window_days: length of a window on this log: a week on a busy one.
        transitions: those before the day, on both sides of the last refresh, in order of time; of a sample of
            users where they are too many.
        traffic: transitions per day lately, all users counted.
        staleness: what age has cost so far; may be empty.
        cost: what a refresh is expected to cost, in money.
    """

    day: int
    refreshes: tuple[int, ...]
    window_days: int
    transitions: Transitions
    traffic: float
    staleness: Staleness
    cost: float

    @property
    def age(self) -> int:
        """Days since the last refresh."""
        return self.day - self.refreshes[-1]


@dataclass(frozen=True, slots=True)
class CadenceDecision:
    """Whether to refresh: the policy's statistic, the threshold it was held against, and a sentence why."""

    refresh: bool
    statistic: float
    threshold: float
    why: str
