"""Whom a log is learned from, where that is not everybody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types.interests import BoolArray
from freshet.core.user_draws import mixed_all

_SALT = np.uint64(0x1EA2_9E25_5A17_0F5A)
"""Sets this draw apart from those of experiments and samples."""
_STEPS = 53
"""Bits of a draw: a 64-bit float holds them exactly."""


@dataclass(frozen=True, slots=True)
class Learners:
    """A share of the users. Who is in it is drawn by a hash of the user: 1 % is within 3 %.

    Attributes:
        percent: above 0 and up to 100.
    """

    percent: float

    def kept(self, users: NDArray[np.uint64]) -> BoolArray:
        """(n,) whether each user is learned from.

        Args:
            users: (n,) by `types.user_number`.
        """
        drawn = (mixed_all(users ^ _SALT) >> np.uint64(64 - _STEPS)).astype(np.float64)
        return np.asarray(drawn < self.percent / 100 * 2.0**_STEPS)

    def __str__(self) -> str:
        return f"{self.percent:g} %"
