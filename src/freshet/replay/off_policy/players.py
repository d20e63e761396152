"""A release that answers as it would have at moments of the past, which are visited in order."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Strategy
from freshet.serving.choosing import Policy, chances_of_first
from freshet.serving.opened import OpenRelease
from freshet.serving.recall import Recalled
from freshet.serving.strategies import preferred, score


@dataclass
class Player:
    """A release whose live signals follow the moves of the log.

    Attributes:
        release: opened for this alone: its live signals change.
        moves: all moves since the release's moment, by time, of stable ids.
        feedback: whether it uses feedback as published.
    """

    release: OpenRelease
    moves: NDArray[np.void]
    feedback: bool
    _done: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        moves = self.moves[self.moves["time"] >= self.release.since].copy()
        if self.release.counted is not None:
            moves = moves[self.release.counted(moves["user"], moves["time"])]
        for name in ("last", "successor"):
            moves[name] = self.release.indices(moves[name])
        self.moves = moves[moves["successor"] >= 0]

    def recall(self, ids: NDArray[np.int32], times: NDArray[np.int64], now: int, user: int) -> Recalled:
        """The user as the release saw them at a moment."""
        return self.release.recall(ids, times, now, user)

    def context(self, seen: Recalled) -> tuple[int, ...]:
        """Stable ids of the user's context, most recent last."""
        recent = seen.recent[-self.release.k :]
        return tuple(self.release.interests.ids[recent[recent >= 0]].tolist())

    def chances(self, strategy: Strategy, policy: Policy, seen: Recalled, now: int) -> NDArray[np.float64]:
        """(N,) probability of each interest to stand first, at a moment not before the last one asked for."""
        release = self.release
        if release.overlay is not None:
            upto = int(np.searchsorted(self.moves["time"], now))
            release.overlay.apply(self.moves[self._done : upto])
            self._done = max(self._done, upto)
        barred = release.rules.excluded(release.rules.always, seen.recent[-release.k :])
        scores, _ = score(release, strategy, seen.recent, seen.known | barred, now)
        return chances_of_first(preferred(release, strategy, scores, seen.recent, self.feedback), policy)
