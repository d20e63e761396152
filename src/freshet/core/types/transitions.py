"""Transitions, sums of them, and outcomes of what was shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.time import DAY
from freshet.core.types.interests import BoolArray, Context


@dataclass(frozen=True, slots=True)
class Transitions:
    """Transitions as columns, one row per (user, step, novel successor).

    Attributes:
        user: (n,) 64-bit key of the user.
        time: (n,) when the step was, in microseconds since 1970-01-01 (UTC).
        recent: (n, RECENT) most recent distinct interests within H days before the step, right-aligned.
        successor: (n,) the novel interest taken up.
        known: (n, N) interests engaged within H days before the step; never a valid successor.
    """

    user: NDArray[np.uint64]
    time: NDArray[np.int64]
    recent: NDArray[np.int16]
    successor: NDArray[np.int16]
    known: BoolArray

    def __len__(self) -> int:
        return len(self.user)

    @property
    def day(self) -> NDArray[np.int32]:
        """(n,) days since 1970-01-01 (UTC)."""
        return np.asarray(self.time // DAY, np.int32)

    @classmethod
    def on_days(
        cls,
        user: NDArray[np.uint64],
        day: NDArray[np.int32],
        recent: NDArray[np.int16],
        successor: NDArray[np.int16],
        known: BoolArray,
    ) -> Transitions:
        """Transitions of which only the days are known: each at its midnight."""
        return cls(user, day.astype(np.int64) * DAY, recent, successor, known)

    def take(self, rows: NDArray[np.int64] | BoolArray) -> Transitions:
        return Transitions(
            self.user[rows],
            self.time[rows],
            self.recent[rows],
            self.successor[rows],
            self.known[rows],
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Transitions]) -> Transitions:
        """All rows of at least one part, in the order given."""
        return cls(
            np.concatenate([part.user for part in parts]),
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.recent for part in parts]),
            np.concatenate([part.successor for part in parts]),
            np.concatenate([part.known for part in parts]),
        )

    def with_context(self) -> Transitions:
        """The rows of users with at least one recent interest: what a planner can plan from."""
        return self.take(self.recent[:, -1] >= 0)

    def contexts(self, k: int) -> list[Context]:
        """The context of each row: its last k recent interests, shorter where the user has fewer."""
        return [tuple(int(i) for i in row if i >= 0) for row in self.recent[:, -k:]]


@dataclass(frozen=True, slots=True)
class Sums:
    """Added-up transitions by (context, successor), sorted; all contexts have the same length.

    Attributes:
        contexts: (m, length) interest indices, most recent last.
        successor: (m,)
        weight: (m,) counts, decayed or not.
    """

    contexts: NDArray[np.int16]
    successor: NDArray[np.int16]
    weight: NDArray[np.float64]


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
