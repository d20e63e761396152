"""What items say and who engages with them, as vectors of interests and of users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types.transitions import Transitions

CONTENT = TEXT_ITEMS, TEXT_INTERESTS, ENGAGED_ITEMS, ENGAGED_INTERESTS, EARLIER_ITEMS = (
    "text_items",
    "text_interests",
    "engaged_items",
    "engaged_interests",
    "earlier_items",
)
"""Content features: what a user engaged says of a candidate interest.

The first four are cosines in -1..1: how near the interest is to the user's last items, or to the user's
recent interests, in the space of texts or in that of co-engagement. The last is log(1 + m) for a user who
engaged m items of the interest, all so long ago that it is novel again; 0 where novel means never engaged.
"""


@dataclass(frozen=True, slots=True)
class Centroids:
    """Where the N interests lie in both spaces: float32 rows of length one, zero where nothing is known.

    Attributes:
        text: (N, a) mean text vector of an interest's items.
        engaged: (N, b) mean co-engagement vector of them; people who engage the one engage the other.
    """

    text: NDArray[np.float32]
    engaged: NDArray[np.float32]

    @property
    def width(self) -> int:
        """Numbers in the profile of a user: a + b + N, see `ContentView`."""
        return int(self.text.shape[1] + self.engaged.shape[1] + len(self.text))


@dataclass(frozen=True, slots=True)
class ContentView:
    """What content knows as of a moment.

    Attributes:
        centroids: of the interests.
        profiles: (n, a + b + N) of the users of n transitions, by what they engaged strictly before each: the
            mean of their last items in each space, of length one, then log(1 + items engaged) of each
            interest; zero where nothing is known.
    """

    centroids: Centroids
    profiles: Callable[[Transitions], NDArray[np.float32]]
