"""A planner's answers as what sparse counts are shrunk to.

A row of counts after one interest is (counts + strength * prior) / (total + strength), where
prior = (1 - share) * popularity + share * planner. Both numbers are fitted on held-out windows, so that a
planner that knows nothing gets no share; and however wrong it is, counts outweigh it as they grow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import PlannerPrior
from freshet.stages.counts.planner_score import PlannerScores

SHARES = (0.25, 0.5, 0.75, 0.95)
"""Shares of the planner tried beside none; some popularity is always left, for what it never names."""
STAND_IN = 0.5
"""The share where nothing could be fitted."""


def towards(prior: PlannerPrior, popularity: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """(N, N) probability of a successor after each interest, before any was counted.

    What an answer leaves open follows popularity, and so do the rows of interests without an answer.

    Args:
        popularity: (N,) recent shares; multiplied by answers that are relative to it.
        share: of the planner, 0 to 1.
    """
    interests = len(popularity)
    scores = PlannerScores(prior.rows, interests, popularity if prior.relative else None)
    each = np.arange(interests, dtype=np.int16)[:, None]
    answers = np.exp(
        scores.feature(each, np.broadcast_to(popularity, (interests, interests))), dtype=np.float64
    )
    return np.asarray((1 - share) * popularity + share * answers)
