"""Who takes part, and in which arm: by a hash of the user, salted by the experiment.

The same user always gets the same arm (sticky); another experiment's salt gives another, independent draw.
Whether a user takes part and which arm they get are two draws, so that more traffic moves nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import BoolArray, Experiment, ExperimentArm
from freshet.core.user_draws import mixed, mixed_all

_SPAN = 2.0**64


def arm_of(experiment: Experiment, user: int) -> ExperimentArm | None:
    """The arm of a user (by `types.user_number`); None = does not take part."""
    takes_part, which = _salts(experiment)
    if mixed(user ^ takes_part) >= experiment.traffic * _SPAN:
        return None
    drawn, passed = mixed(user ^ which) / _SPAN, 0.0
    for arm in experiment.arms[:-1]:
        passed += arm.share
        if drawn < passed:
            return arm
    return experiment.arms[-1]


def arms_of(experiment: Experiment, users: NDArray[np.uint64]) -> NDArray[np.int64]:
    """(n,) place of the arm of each user, -1 for those who don't take part: `arm_of`, many at a time."""
    takes_part, which = (np.uint64(salt) for salt in _salts(experiment))
    part = mixed_all(users ^ takes_part).astype(np.float64) < experiment.traffic * _SPAN
    edges = np.cumsum([arm.share for arm in experiment.arms[:-1]])
    drawn = mixed_all(users ^ which).astype(np.float64) / _SPAN
    return np.where(part, np.searchsorted(edges, drawn, side="right"), -1)


@dataclass(frozen=True, slots=True)
class OwnEvents:
    """What counts in an isolated arm: all transitions but those of the other arms' users since the start."""

    experiment: Experiment
    arm: str

    def __call__(self, users: NDArray[np.uint64], times: NDArray[np.int64]) -> BoolArray:
        """(n,) whether each transition counts.

        Args:
            users: (n,) by `types.user_number`.
            times: (n,) microseconds since 1970.
        """
        names = [arm.name for arm in self.experiment.arms]
        found = arms_of(self.experiment, users)
        return np.asarray((times < self.experiment.start) | (found < 0) | (found == names.index(self.arm)))


def _salts(experiment: Experiment) -> tuple[int, int]:
    found = blake2b(experiment.salt.encode(), digest_size=16).digest()
    return int.from_bytes(found[:8], "little"), int.from_bytes(found[8:], "little")
