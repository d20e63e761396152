"""In which order users are asked about: by how much a row of their own should be used, and should tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLASSES = 16
"""Of recency and of activity, each twice as wide as the one before."""


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
    def kind(self) -> NDArray[np.int64]:
        """(n,) users alike in recency and activity have the same number."""
        ago = np.minimum(np.log2(1 + np.maximum(self.days_ago, 0)), CLASSES - 1).astype(np.int64)
        often = np.minimum(np.log2(np.maximum(self.engaged, 1)), CLASSES - 1).astype(np.int64)
        return ago * CLASSES + often


def expected_gain(
    now: Activity, past: list[tuple[Activity, NDArray[np.int64]]], k: int
) -> NDArray[np.float64]:
    """(n,) what a row should gain each user, up to a factor.

    That is how often it should be used, as far as that is known of users who were as active at earlier
    moments, times the share of the user's recent interests that no row of the table holds.

    Args:
        past: users at earlier moments, and how often a row from then would have been used (n,).
        k: interests of the table's contexts, at most.
    """
    users, used = np.zeros(CLASSES**2), np.zeros(CLASSES**2)
    for activity, uses in past:
        users += np.bincount(activity.kind, minlength=CLASSES**2)
        used += np.bincount(activity.kind, uses, minlength=CLASSES**2)
    usual = used.sum() / max(users.sum(), 1.0)
    rate = (used + usual) / (users + 1.0)
    untold = 1.0 - k / np.maximum(now.recent, k)
    return np.asarray(rate[now.kind] * untold)
