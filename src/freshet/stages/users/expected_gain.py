"""In which order users are asked about: by how much a row of their own should be used, and should tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RIDGE = 1e-3
"""Penalty of the regression: keeps it finite where a few users say nearly the same."""


@dataclass(frozen=True, slots=True)
class Activity:
    """n users as they were at a moment.

    Attributes:
        days_ago: (n,) days since each engaged something.
        engaged: (n,) how often each had engaged an interest of late.
        recent: (n,) how many distinct recent interests each had.
    """

    days_ago: NDArray[np.float64]
    engaged: NDArray[np.int64]
    recent: NDArray[np.int64]

    @property
    def features(self) -> NDArray[np.float64]:
        """(n, 2) what tells how soon a user comes back."""
        return np.stack(
            [np.log1p(np.maximum(self.days_ago, 0.0)), np.log(np.maximum(self.engaged, 1))], axis=1
        )


def expected_gain(
    now: Activity, past: Sequence[tuple[Activity, NDArray[np.int64]]], k: int
) -> NDArray[np.float64]:
    """(n,) what a row should gain each user, up to a factor.

    That is how often it should be used, by how often rows of users as active as that would have been used
    after earlier moments (a Poisson regression), times the share of the user's recent interests that no row
    of the table holds.

    Args:
        past: users at earlier moments, and how often a row from then would have been used (n,).
        k: interests of the table's contexts, at most.
    """
    used = np.concatenate([np.zeros(0, np.int64), *(uses for _, uses in past)])
    if used.any():
        from sklearn.linear_model import PoissonRegressor  # slow to load, and few runs ask about users

        features = np.concatenate([activity.features for activity, _ in past])
        model = PoissonRegressor(alpha=RIDGE, max_iter=1000).fit(features, used)
        uses = model.predict(now.features) if len(now.recent) else np.zeros(0)
    else:  # nothing is known of such users: who was here last comes first
        uses = 1.0 / (1.0 + now.days_ago)
    return np.asarray(uses * (1.0 - k / np.maximum(now.recent, k)))
