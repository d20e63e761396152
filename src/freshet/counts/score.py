"""Scoring users and contexts with the fitted mixture: one code for the table, evaluation and serving."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.counts.mixture import Held, log_softmax, scores
from freshet.counts.model import CountModel
from freshet.counts.planner_score import PlannerScores
from freshet.types import RECENT, BoolArray, Scores, Transitions

COUNTS, PLANNER = "counts", "planner"
"""Names of the two features that are fused: log-probability by counts and by the planner."""

LENGTHS = 3
"""Users are weighted by how many recent interests they have: none, one, several."""


def length_class(recent: NDArray[np.int16]) -> NDArray[np.int64]:
    """(n,) 0, 1 or 2: no, one, or several recent interests (n, R)."""
    return np.asarray(np.minimum((recent >= 0).sum(axis=1), LENGTHS - 1))


@dataclass(frozen=True)
class Scorer:
    """Scores of every interest for users with given recent interests.

    Attributes:
        model: counts before a moment.
        count_weights: (LENGTHS, F) weights of the count features by length class; (F,) for all alike.
        planner: planner rows, or None.
        weights: (2,) weights of the count score and the planner's; None without a planner.
    """

    model: CountModel
    count_weights: NDArray[np.float64]
    planner: PlannerScores | None = None
    weights: NDArray[np.float64] | None = None

    def __call__(self, recent: NDArray[np.int16], excluded: BoolArray) -> Scores:
        """Score n users, or n contexts as users who have just that context.

        A user with no recent interest is scored by counts: there is nothing to plan from.

        Args:
            recent: (n, up to RECENT) right-aligned, -1 padded.
            excluded: (n, N) interests that are not candidates.
        """
        recent = _padded(recent)
        count = self.by_counts(recent, excluded)
        if self.planner is None or self.weights is None:
            return Scores(None, count, count)
        planner = self.planner.feature(recent, np.exp(count))
        mixed = self.weights[0] * np.where(excluded, 0.0, count) + self.weights[1] * planner
        fused = np.where(recent[:, -1:] >= 0, log_softmax(mixed, excluded), count)
        return Scores(log_softmax(planner.astype(np.float64), excluded), count, fused)

    def by_counts(self, recent: NDArray[np.int16], excluded: BoolArray) -> NDArray[np.float64]:
        """(n, N) log-probabilities by counts alone, for (n, RECENT) recent interests."""
        weights = np.broadcast_to(self.count_weights, (LENGTHS, self.count_weights.shape[-1]))
        return log_softmax(scores(self.model.features(recent), weights[length_class(recent)]), excluded)


def held_by_counts(model: CountModel, held: Transitions) -> Held:
    """Held-out transitions with the features of counts from before them."""
    return Held(model.features(held.recent), held.known, held.successor, held.user)


def held_by_both(scorer: Scorer, planner: PlannerScores, held: Transitions) -> Held:
    """Held-out transitions with two features: the count score and the planner's.

    Args:
        scorer: the fitted counts before the window.
        planner: planner rows made with evidence from before the window.
    """
    count = scorer.by_counts(held.recent, held.known)
    both = [np.where(held.known, 0.0, count), planner.feature(held.recent, np.exp(count))]
    return Held(np.stack(both, axis=1).astype(np.float32), held.known, held.successor, held.user)


def _padded(recent: NDArray[np.int16]) -> NDArray[np.int16]:
    out = np.full((len(recent), RECENT), -1, np.int16)
    out[:, RECENT - recent.shape[1] :] = recent
    return out
