"""What people take up now, against what was usual when the table was made."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.time import DAY
from freshet.core.types import FloatArray
from freshet.stages.live import bursts
from freshet.stages.live import decayed_counts as decay

NOW = decay.LAST
"""A moment after every other: transitions count at their own time."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an overlay counts, and how far it may go.

    Attributes:
        half_lives: of what is taken up, in days, ascending; what follows an interest halves by the longest.
        burst_days: half-life of the counts in which bursts are looked for, in days.
        user_cap: transitions of one user that count on one day (UTC).
        most_lift: the odds of an interest are multiplied, or divided, by this at most.
        pseudo: pseudo-counts that pull a share to what was usual.
        new_user: what a transition of a user counts who is not established; 1 = as much as any.
    """

    half_lives: tuple[float, ...]
    burst_days: float
    user_cap: int
    most_lift: float
    pseudo: float
    new_user: float = 1.0

    @property
    def names(self) -> tuple[str, ...]:
        """Of the lifts, in the order of the weights."""
        return (*(f"popular_{days:g}d" for days in self.half_lives), f"after_{self.half_lives[-1]:g}d")


@dataclass(slots=True)
class Overlay:
    """Decayed counts of transitions, and what they change about the score of every interest.

    Of a share p now and a usual share q, both of what is taken up, the lift is log(p / q), p pulled to q by
    `settings.pseudo` pseudo-counts. The score of an interest is its log-probability by the release plus the
    weighted lifts; each lift and their sum are held within +-log(most_lift).

    Memory: 8 N**2 + 8 N (P + 2) bytes and 4 MiB of counters, for P half-lives; without the N**2 where what
    follows a last interest has no weight. It doesn't grow with events; each established user takes 8 bytes
    where others count less.

    Attributes:
        weights: (P + 1,) of the lifts, in the order of `settings.names`.
        popular: (P + 1, N) counts by successor, the first row for bursts.
        after: (N, N) counts by last interest and successor, or (0, N).
        since: (P + 2,) landmarks of their decay, in microseconds since 1970; see `decayed_counts`.
        usual: (N,) shares when the table was made; `usual_after`: (N, N) by the last interest, or (0, N).
        clock: the latest time of a transition, in microseconds.
        seats: (SEATS, 2) day, and transitions on it, of users by a hash of their key.
        established: (m,) numbers of users who count in full, ascending; not looked at where all do.
    """

    settings: Settings
    weights: FloatArray
    popular: NDArray[np.float64]
    after: NDArray[np.float32]
    since: NDArray[np.int64]
    usual: NDArray[np.float64]
    usual_after: NDArray[np.float32]
    clock: int
    seats: NDArray[np.uint16]
    established: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64), repr=False)
    _half_lives: NDArray[np.float64] = field(init=False, repr=False)  # (P + 2,) microseconds

    def __post_init__(self) -> None:
        settings = self.settings
        days = (settings.burst_days, *settings.half_lives, settings.half_lives[-1])
        self._half_lives = np.array(days) * DAY

    @classmethod
    def empty(cls, settings: Settings, interests: int, start: int) -> Overlay:
        """An overlay that has counted nothing before `start` (microseconds); all shares are usual."""
        lifts, even = len(settings.half_lives) + 1, 1.0 / interests
        return cls(
            settings,
            np.zeros(lifts),
            np.zeros((lifts, interests)),
            np.zeros((interests, interests), np.float32),
            np.full(lifts + 1, start, np.int64),
            np.full(interests, even),
            np.full((interests, interests), even, np.float32),
            start,
            np.zeros((decay.SEATS, 2), np.uint16),
        )

    def copy(self) -> Overlay:
        """Another overlay of the same counts."""
        parts = ("popular", "after", "since", "seats")
        return replace(self, **{part: getattr(self, part).copy() for part in parts})

    @property
    def bound(self) -> float:
        """Nats by which live signals can raise or lower the score of an interest, at most."""
        return math.log(self.settings.most_lift)

    def apply(self, transitions: NDArray[np.void], now: int = NOW) -> int:
        """Count transitions, in any order: a late one counts by what is left of it.

        Args:
            transitions: records of `types.TRANSITION` whose interests are indices; one without a successor is
                passed over.
            now: transitions of the future count as of now, in microseconds.

        Returns:
            How many counted: not those of users who had their share of the day.
        """
        counted, latest = decay.add(_columns(transitions), now, *self._counters)
        self.clock = max(self.clock, int(latest))
        return int(counted)

    def lifts(self, last: int, now: int) -> NDArray[np.float64]:
        """(P + 1, N) unweighted, for a user whose last interest is `last` (-1 = none)."""
        settings = self.settings
        out = np.empty(self.popular.shape)
        decay.lifts(
            last,
            max(now, self.clock),  # a clock behind the last transition must not blow counts up
            self._half_lives,
            self.since,
            self.popular,
            self.after,
            self.usual,
            self.usual_after,
            settings.pseudo,
            self.bound,
            out,
        )
        return out

    def lifts_before(self, records: NDArray[np.void], queries: NDArray[np.void]) -> NDArray[np.float32]:
        """(n, P + 1, N) what `lifts` gives as each of the moves `queries` is about to happen.

        All `records` are counted on the way.

        Args:
            records, queries: as `apply` takes them, in the order of time. Moves of one moment don't see each
                other.
        """
        settings = self.settings
        out = np.empty((len(queries), *self.popular.shape), np.float32)
        self.clock = int(
            decay.lifts_before(
                _columns(records),
                (
                    np.searchsorted(records["time"], queries["time"], side="left"),
                    np.ascontiguousarray(queries["time"]),
                    np.ascontiguousarray(queries["last"]),
                ),
                self.clock,
                self._counters,
                self.usual,
                self.usual_after,
                settings.pseudo,
                self.bound,
                out,
            )
        )
        return out

    @property
    def _counters(
        self,
    ) -> tuple[
        NDArray[np.float64],
        NDArray[np.int64],
        NDArray[np.float64],
        NDArray[np.float32],
        NDArray[np.uint16],
        int,
        NDArray[np.uint64],
        float,
    ]:
        """What is counted in, and how: the arguments of `decayed_counts.add` behind `latest`."""
        user_cap, new_user = self.settings.user_cap, self.settings.new_user
        counts = self._half_lives, self.since, self.popular, self.after, self.seats
        return *counts, user_cap, self.established, new_user

    def bonus(self, last: int, now: int) -> NDArray[np.float64]:
        """(N,) nats to add to the log-probabilities of a user whose last interest is `last` (-1 = none)."""
        out = np.empty(self.popular.shape[1])
        decay.bounded(self.weights, self.lifts(last, now), self.bound, out)
        return out

    def bursts(self, now: int) -> list[bursts.Burst]:
        """Interests that are taken up far more often than they were, the most surprising first."""
        left = np.exp2((self.since[:-1] - max(now, self.clock)) / self._half_lives[:-1])
        counts = self.popular * left[:, None]
        return bursts.find(counts[0], counts[-1], self.settings.burst_days / self.settings.half_lives[-1])

    def shares(self, now: int) -> NDArray[np.float64]:
        """(N,) of what is taken up, by the longest half-life; one of each interest is added."""
        counts = self.popular[-1] * 2.0 ** ((self.since[-2] - max(now, self.clock)) / self._half_lives[-2])
        return np.asarray((counts + 1.0) / (counts.sum() + len(counts)))

    def against(self, now: int, usual_after: FloatArray) -> Overlay:
        """The same counts, for a table made at `now`: lifts are against the shares of now.

        Args:
            usual_after: (N, N) the table's shares of what follows each last interest.
        """
        return replace(self, usual=self.shares(now), usual_after=usual_after.astype(np.float32, copy=False))

    def weighted(self, weights: FloatArray) -> Overlay:
        """The same counts with fitted weights; what follows a last interest is let go where it has none."""
        if weights[-1] != 0:
            return replace(self, weights=weights)
        return replace(self, weights=weights, after=self.after[:0], usual_after=self.usual_after[:0])


def _columns(transitions: NDArray[np.void]) -> tuple[NDArray[Any], ...]:
    """Time, user, last and successor of records."""
    return tuple(np.ascontiguousarray(transitions[name]) for name in ("time", "user", "last", "successor"))
