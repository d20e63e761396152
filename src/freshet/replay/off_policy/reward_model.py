"""A model of rewards, fitted on other users than those it predicts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Outcomes, positions
from freshet.experiments.feedback.lifts import by_place, keys_of, levels

PRIOR_COUNTS = 10.0, 30.0
"""Pseudo-successes of the successor's own level, and of the one after the last interest."""
FOLDS = 2


@dataclass(frozen=True)
class RewardModel:
    """Reward of each successor at the first place, after any last interest.

    Attributes:
        base: (N,) of the successors anywhere.
        keys, ratios: what a last interest changes about it; see `feedback.lifts.keys_of`.
    """

    base: NDArray[np.float64]
    keys: NDArray[np.int64]
    ratios: NDArray[np.float64]

    def of(self, last: int) -> NDArray[np.float64]:
        """(N,) after a last interest, -1 = none."""
        size = len(self.base)
        wanted = keys_of(np.full((size, 1), last, np.int16), np.arange(size, dtype=np.int16), 1)
        place = positions(self.keys, wanted)
        ratio = np.where(place >= 0, self.ratios[place], 1.0) if len(self.keys) else 1.0
        return np.asarray(np.minimum(self.base * ratio, 1.0))


def fit(outcomes: Outcomes, interests: int) -> RewardModel:
    """Smoothed rates; those of successors pulled to the rate of all, those after a last interest to these."""
    rate = by_place(outcomes)[0]
    own, after = levels(outcomes, PRIOR_COUNTS)
    base = np.full(interests, rate)
    base[own[0]] *= own[1]
    return RewardModel(base, *after)


def cross_fitted(outcomes: Outcomes, interests: int) -> tuple[RewardModel, ...]:
    """A model for each fold of users, fitted on the others."""
    fold = fold_of(outcomes.user)
    return tuple(fit(outcomes.take(fold != one), interests) for one in range(FOLDS))


def fold_of(user: NDArray[np.uint64]) -> NDArray[np.int64]:
    """(n,) which fold each user is in."""
    return np.asarray((user // np.uint64(7919)) % np.uint64(FOLDS)).astype(np.int64)
