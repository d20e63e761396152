"""Running experiments as serving knows them: who is in which arm, and what that arm is answered with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.experiments import arm_of, arms_of
from freshet.serving.opened import OpenRelease
from freshet.types import BoolArray, Experiment, ExperimentArm


@dataclass(frozen=True, slots=True)
class OpenExperiment:
    """An experiment with the releases of its arms; an arm without one here follows the current release."""

    experiment: Experiment
    releases: Mapping[str, OpenRelease]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a user stands; `release` None = the current one."""

    experiment: str
    arm: ExperimentArm
    release: OpenRelease | None


def place_of(running: Sequence[OpenExperiment], user: int) -> Place | None:
    """The first experiment, in order of start, that a user (by `types.user_number`) takes part in.

    An answer can be of one arm only. Salts are independent, so what an earlier experiment takes away from a
    later one does not depend on the later one's arms.
    """
    for one in running:
        arm = arm_of(one.experiment, user)
        if arm is not None:
            return Place(one.experiment.name, arm, one.releases.get(arm.name))
    return None


@dataclass(frozen=True, slots=True)
class OwnEvents:
    """What counts in a separated arm: all moves but those of the other arms' users since the start."""

    experiment: Experiment
    arm: str

    def __call__(self, users: NDArray[np.uint64], times: NDArray[np.int64]) -> BoolArray:
        """(n,) whether each move counts; users by `types.user_number`, times in microseconds since 1970."""
        names = [arm.name for arm in self.experiment.arms]
        found = arms_of(self.experiment, users)
        return np.asarray((times < self.experiment.start) | (found < 0) | (found == names.index(self.arm)))
