"""Item vectors: text and co-engagement side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from freshet.stages.interests import engagement
from freshet.stages.interests.spectral import unit

_TRUST = 5.0
"""At so many co-engaging users an item's co-engagement vector has half of its full weight."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Unit vectors of n items by what they say and by who engages with them; zero where unknown.

    Attributes:
        text: (n, a)
        co_engagement: (n, b)
        support: (n,) users behind the co-engagement vector.
    """

    text: NDArray[np.float64]
    co_engagement: NDArray[np.float64]
    support: NDArray[np.float64]

    def joined(self, weight: float) -> NDArray[np.float64]:
        """(n, a + b) unit vectors; `weight` in 0..1 is the share of co-engagement in a dot product.

        The share shrinks for items few people engaged with. An item with only one side uses it alone.
        """
        share = weight * self.support / (self.support + _TRUST)
        if weight == 1.0:  # nothing but co-engagement was asked for
            share = (self.support > 0).astype(np.float64)
        parts = (
            np.sqrt(1 - share)[:, None] * self.text,
            np.sqrt(share)[:, None] * self.co_engagement,
        )
        return unit(np.hstack(parts))


def sides(text: NDArray[np.float64], engaged: sparse.csr_matrix, seed: int) -> Sides:
    """Both sides of n items from their (n, a) text vectors and the (users, n) engagement matrix."""
    return Sides(text, engagement.vectors(engaged, seed), engagement.users_behind(engaged))
