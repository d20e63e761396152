"""How a release scores one user: as it was published, or by a part of it, as arms of experiments do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import LIVE, RECENT, BoolArray, Strategy
from freshet.serving.opened import OpenRelease
from freshet.stages.counts import UserScores

NOTHING = np.zeros(0)
_LIVE = ("published", *LIVE)


def score(
    release: OpenRelease, strategy: Strategy, recent: NDArray[np.int16], excluded: BoolArray, now: int
) -> tuple[UserScores, NDArray[np.float64]]:
    """Scores of every interest for a user, and (N,) nats that live signals add to them, empty without.

    Args:
        recent: (RECENT,) most recent interests, most recent last, -1 padded.
        excluded: (N,) interests that are not candidates.
        now: microseconds since 1970 (UTC).
    """
    bonus = NOTHING
    if strategy in _LIVE and release.overlay is not None:
        bonus = release.overlay.bonus(int(recent[-1]), now)
    if strategy == "popularity":
        return _popularity(release, excluded), bonus
    one = release.by_counts if strategy in ("counts", "counts-live") else release.one
    return one(recent, excluded, bonus), bonus


def preferred(
    release: OpenRelease, strategy: Strategy, scores: UserScores, recent: NDArray[np.int16], use: bool
) -> NDArray[np.float64]:
    """(N,) what is chosen by: the scores, those of the first proposals changed by what people did with such.

    Args:
        use: whether releases use it as published; see `[feedback]`.
    """
    wanted = strategy == "hybrid-feedback" or (use and strategy == "published")
    if release.feedback is None or not wanted:
        return scores.final
    return scores.final + release.feedback.bonus(scores.final, recent[-release.k :])


def warm(release: OpenRelease, strategy: Strategy) -> None:
    """Answer once, so that no request has to wait for what is made at the first."""
    nothing = np.full(RECENT, -1, np.int16)
    scores, _ = score(release, strategy, nothing, np.zeros(len(release.interests), bool), release.since)
    preferred(release, strategy, scores, nothing, use=True)


def _popularity(release: OpenRelease, excluded: BoolArray) -> UserScores:
    """Recent popularity, the same for everybody but for what is excluded."""
    odds = np.where(excluded, 0.0, release.popularity)
    total = odds.sum()
    with np.errstate(divide="ignore"):
        found = np.log(odds / total) if total > 0 else np.full(len(odds), -np.inf)
    return UserScores(found, None, None, found, found)
