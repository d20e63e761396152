"""Arms of running experiments: which one answers a user, and how a release scores for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import LIVE, RECENT, BoolArray, Experiment, Strategy, User
from freshet.experiments.assignment import arm_of
from freshet.serving.open_release import OpenRelease
from freshet.stages.counts import NOBODY, UserScores

NOTHING = np.zeros(0)
_WITH_LIVE_SIGNALS = ("published", *LIVE)
_COUNTS_ALONE = ("counts", "counts-live")


@dataclass(frozen=True, slots=True)
class OpenExperiment:
    """An experiment with the releases of its arms; an arm without one here follows the current release."""

    experiment: Experiment
    releases: Mapping[str, OpenRelease]


@dataclass(slots=True)
class Assignment:
    """What answers a user.

    Attributes:
        release: None = the current one.
        strategy: how it scores.
        experiment, arm: names of what decided so; '' = no experiment did.
        canary: whether `release` is a new one that is tried on some users.
    """

    release: OpenRelease | None = None
    strategy: Strategy = "published"
    experiment: str = ""
    arm: str = ""
    canary: bool = False


NO_EXPERIMENT = Assignment()
"""The current release, as it was published."""


def assign(running: Sequence[OpenExperiment], user: User) -> Assignment:
    """The user's arm in the first experiment, in order of start, that they take part in.

    An answer can be of one arm only. Salts are independent, so what an earlier experiment takes away from a
    later one does not depend on the later one's arms.
    """
    for one in running:
        arm = arm_of(one.experiment, user.number)
        if arm is not None:
            release = one.releases.get(arm.name)
            tried = one.experiment.canary and release is not None
            return Assignment(release, arm.serves.strategy, one.experiment.name, arm.name, tried)
    return NO_EXPERIMENT


@dataclass(slots=True)
class Scored:
    """Scores of the N interests of a release for one user.

    Attributes:
        parts: log-probabilities, and those of each part of the mixture; -inf where an interest is excluded.
        live: (N,) nats that live signals add, empty without.
        preferred: (N,) what is chosen by: `parts.final`, those of the first proposals changed by what people
            did with such.
    """

    parts: UserScores
    live: NDArray[np.float64]
    preferred: NDArray[np.float64]


def score(
    release: OpenRelease,
    strategy: Strategy,
    recent: NDArray[np.int16],
    excluded: BoolArray,
    now: int,
    profile: NDArray[np.float32] = NOBODY,
    user: int = -1,
    *,
    use_feedback: bool,
) -> Scored:
    """Scores of every interest for a user.

    Args:
        recent: (RECENT,) most recent interests, most recent last, -1 padded.
        excluded: (N,) interests that are not candidates.
        now: microseconds since 1970 (UTC).
        profile: what is known of the user's items, see `ContentView`; empty = nothing.
        user: their number, whose own row then counts; -1 = it is not known.
        use_feedback: whether releases use feedback as published; see `[feedback]`.
    """
    live = NOTHING
    if strategy in _WITH_LIVE_SIGNALS and release.overlay is not None:
        live = release.overlay.bonus(int(recent[-1]), now)
    if strategy == "popularity":
        parts = _popularity(release, excluded)
    elif strategy in _COUNTS_ALONE:
        parts = release.single_user_counts(recent, excluded, live)
    else:
        parts = release.single_user(recent, excluded, live, profile, user)
    preferred = parts.final
    with_feedback = strategy == "hybrid-feedback" or (use_feedback and strategy == "published")
    if with_feedback and release.feedback is not None:
        preferred = preferred + release.feedback.bonus(preferred, recent[-release.k :])
    return Scored(parts, live, preferred)


def warm(release: OpenRelease, strategy: Strategy) -> None:
    """Score once, so that no request has to wait for what is made at the first."""
    nobody = np.full(RECENT, -1, np.int16)
    all_allowed = np.zeros(len(release.interests), bool)
    score(release, strategy, nobody, all_allowed, release.since, user=0, use_feedback=True)


def _popularity(release: OpenRelease, excluded: BoolArray) -> UserScores:
    """Recent popularity, the same for everybody but for what is excluded."""
    odds = np.where(excluded, 0.0, release.popularity)
    total = odds.sum()
    with np.errstate(divide="ignore"):
        found = np.log(odds / total) if total > 0 else np.full(len(odds), -np.inf)
    return UserScores(found, None, None, found, found)
