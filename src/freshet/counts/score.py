"""Scoring users and contexts with the fitted mixture: one code for the table, evaluation and serving."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.counts.mixture import Held, log_softmax, scores
from freshet.counts.model import CountModel
from freshet.counts.planner_score import PlannerScores
from freshet.types import RECENT, BoolArray, Mixture, Scores, Transitions

PLANNER = "planner"
"""Name of the planner's feature in the mixture, always the last."""


@dataclass(frozen=True)
class Scorer:
    """Scores of every interest for users with given recent interests.

    Attributes:
        model: counts before a moment.
        count_weights: (F,) weights of the count features alone.
        planner: planner rows, or None.
        weights: (F + 1,) weights with the planner's last; None without a planner.
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
        features = self.model.features(recent)  # (n, F, N)
        count = log_softmax(scores(features, self.count_weights), excluded)
        if self.planner is None or self.weights is None:
            return Scores(None, count, count)
        planner = self.planner.feature(recent, np.exp(count))
        mixed = scores(features, self.weights[:-1]) + self.weights[-1] * planner
        fused = np.where(recent[:, -1:] >= 0, log_softmax(mixed, excluded), count)
        return Scores(log_softmax(planner.astype(np.float64), excluded), count, fused)


def held_out(
    model: CountModel,
    held: Transitions,
    count_weights: NDArray[np.float64] | None = None,
    planner: PlannerScores | None = None,
) -> Held:
    """Held-out transitions with their features, the planner's last if given.

    Args:
        model: counts before the window.
        held: transitions of the window.
        count_weights: (F,) fitted count weights; needed with a planner, whose open mass follows the counts.
        planner: planner rows made with evidence from before the window.
    """
    features = model.features(held.recent)
    if planner is not None and count_weights is not None:
        count = np.exp(log_softmax(scores(features, count_weights), held.known))
        features = np.concatenate([features, planner.feature(held.recent, count)[:, None]], axis=1)
    return Held(features, held.known, held.successor, held.user)


def mixture_weights(mixture: Mixture) -> tuple[NDArray[np.float64], float | None]:
    """Count weights and the planner's weight (None without one) of a mixture."""
    if mixture.names[-1] == PLANNER:
        return mixture.weights[:-1], float(mixture.weights[-1])
    return mixture.weights, None


def _padded(recent: NDArray[np.int16]) -> NDArray[np.int16]:
    out = np.full((len(recent), RECENT), -1, np.int16)
    out[:, RECENT - recent.shape[1] :] = recent
    return out
