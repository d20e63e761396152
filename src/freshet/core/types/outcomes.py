"""What became of interests that were shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types.basics import BoolArray


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Interests that were shown, one row each, in the order of time.

    Attributes:
        context: (n, k) interest indices, right-aligned, -1 padded: what the user came from.
        shown: (n,) index of the interest shown.
        place: (n,) where it stood, 0 = first.
        score: (n,) its log-probability by the release that showed it.
        reward: (n,) whether the user was satisfied with it.
        time: (n,) when it was shown, in microseconds since 1970 (UTC).
        user: (n,) what outcomes hang together by: `user_number`, or the answer where no user was named.
    """

    context: NDArray[np.int16]
    shown: NDArray[np.int16]
    place: NDArray[np.int32]
    score: NDArray[np.float64]
    reward: BoolArray
    time: NDArray[np.int64]
    user: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.shown)

    def take(self, rows: NDArray[np.int64] | BoolArray | slice) -> Outcomes:
        """The chosen rows."""
        return Outcomes(
            self.context[rows],
            self.shown[rows],
            self.place[rows],
            self.score[rows],
            self.reward[rows],
            self.time[rows],
            self.user[rows],
        )
