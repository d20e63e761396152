"""Running experiments as serving knows them: who is in which arm, and what that arm is answered with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from freshet.core.types import Experiment, ExperimentArm
from freshet.experiments.assignment import arm_of
from freshet.serving.opened import OpenRelease


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
