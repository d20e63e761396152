"""What was held back: moves, and the bursts that they belong to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import BoolArray, positions

MOVE = np.dtype([("user", "<u8"), ("time", "<i8"), ("last", "<i2"), ("successor", "<i2")])
"""A move that was held back; `last` is -1 for users without an interest before."""


@dataclass(frozen=True, slots=True)
class Burst:
    """New users' moves to one interest on one day.

    Attributes:
        day: since 1970.
        successor: index of the interest.
        came: moves of new users; `held`: those of them that were held back.
        alone: of those that came, moves of users with no interest before.
        established: moves of established users to it.
    """

    day: int
    successor: int
    came: int
    held: int
    alone: int
    established: int


@dataclass(frozen=True)
class HeldBack:
    """All that was held back.

    Attributes:
        moves: (n,) of `MOVE`, by user and time.
        bursts: by day and interest.
        judged: new users' moves looked at.
    """

    moves: NDArray[np.void]
    bursts: tuple[Burst, ...]
    judged: int

    def kept(self, users: NDArray[np.uint64], times: NDArray[np.int64]) -> BoolArray:
        """(n,) whether what each user did at a time (microseconds since 1970) counts; steps are whole."""
        out = np.ones(len(users), bool)
        own = np.unique(self.moves["user"])
        rows = np.flatnonzero(positions(own, users) >= 0)
        held = set(zip(self.moves["user"].tolist(), self.moves["time"].tolist(), strict=True))
        for row, step in zip(
            rows.tolist(), zip(users[rows].tolist(), times[rows].tolist(), strict=True), strict=True
        ):
            out[row] = step not in held
        return out
