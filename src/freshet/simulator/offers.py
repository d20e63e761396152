"""What was offered to SIMULATED people, what came of it, and what was true of it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.simulator.oracles import ORACLES
from freshet.simulator.sampling import Floats, Ints


@dataclass(frozen=True, slots=True)
class Offers:
    """Impressions of the exploration slot, (n,) each, in order of time.

    Attributes:
        user: number of the person.
        arm: place of the arm, -1 for who takes no part.
        day: of the experiment, from 1.
        theme: true theme of the item shown.
        release: number of the release that chose it.
        explored: whether it was drawn rather than the best taken.
        outcome: place in `slot.OUTCOMES`.
        survey: what the person said, 1 to 5; 0 = was not asked.
        expected, best: true chances of a satisfied outcome, of what was shown and of the best theme.
        disliked: true chance that it was disliked.
        oracles: (n, oracles) true chances of a satisfied outcome of what each of `oracles.ORACLES` would
            have offered in its place.
    """

    user: Ints
    arm: Ints
    day: Ints
    theme: Ints
    release: Ints
    explored: NDArray[np.bool_]
    outcome: Ints
    survey: Ints
    expected: Floats
    best: Floats
    disliked: Floats
    oracles: Floats

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def joined(cls, parts: list[Offers]) -> Offers:
        """All rows, in the order given."""
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))

    def table(self) -> pa.Table:
        """A column for each attribute, and `oracle_` and its name for each oracle."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "oracles"}
        oracles = {f"oracle_{name}": self.oracles[:, place] for place, name in enumerate(ORACLES)}
        return pa.table(plain | oracles)
