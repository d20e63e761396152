"""What an interest keeps across a rebuild: its id while most of it stays, its words while nearly all does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Interests
from freshet.stages.interests.describe import distinct
from freshet.stages.interests.fitting import Fit
from freshet.stages.interests.format import load, load_assignment, open_model

_SAME = 0.1
"""Below this overlap (shared traffic over joint traffic) two interests have nothing but items in common."""

_SAME_WORDS = 0.6
"""From this overlap on an interest keeps its description, so that prompts about it stay as they were."""


@dataclass(frozen=True, slots=True)
class Match:
    """How new interests relate to the previous ones.

    Attributes:
        previous: (N,) index of the previous interest each new one continues, or -1.
        overlap: (N,) shared traffic over joint traffic with it, 0..1.
        churn: share of the traffic of items known to both whose interest changed.
    """

    previous: NDArray[np.int64]
    overlap: NDArray[np.float64]
    churn: float


def match(
    items: Sequence[str],
    labels: NDArray[np.int64],
    traffic: NDArray[np.float64],
    interests: int,
    before: Mapping[str, int],
    interests_before: int,
) -> Match:
    """Pair new with previous interests so that the traffic that stays together is largest.

    Args:
        items, labels, traffic: the new assignment of n items and their engagements.
        before: item -> previous interest index.
    """
    old = np.array([before.get(item, -1) for item in items], np.int64)
    known = old >= 0
    weight = traffic[known]
    shared = np.zeros((interests, interests_before))
    np.add.at(shared, (labels[known], old[known]), weight)
    joint = shared.sum(axis=1)[:, None] + shared.sum(axis=0)[None, :] - shared
    overlap = shared / np.maximum(joint, 1e-12)
    from scipy.optimize import linear_sum_assignment  # slow to load, and only a rebuild needs it

    new, previous = linear_sum_assignment(-shared)
    kept = overlap[new, previous] >= _SAME
    of_new, how_much = np.full(interests, -1, np.int64), np.zeros(interests)
    of_new[new[kept]] = previous[kept]
    how_much[new[kept]] = overlap[new[kept], previous[kept]]
    moved = of_new[labels[known]] != old[known]
    churn = float(weight[moved].sum() / weight.sum()) if weight.sum() > 0 else 0.0
    return Match(of_new, how_much, churn)


def name(
    previous: NDArray[np.int64], ids_before: NDArray[np.int32], next_id: int
) -> tuple[NDArray[np.int32], int]:
    """The id of each new interest, and the first id still unused; an id is never given out twice."""
    ids = np.zeros(len(previous), np.int32)
    for index, old in enumerate(previous):
        ids[index] = ids_before[old] if old >= 0 else next_id
        next_id += int(old < 0)
    return ids, next_id


@dataclass(frozen=True, slots=True)
class Identified:
    """Interests with their ids.

    Attributes:
        fitted: the interests in the order of their ids.
        ids: (N,) of each; next_id: the first id that no interest ever had.
        match: how they relate to the previous interests, and `before` these; None where there are none.
    """

    fitted: Fit
    ids: NDArray[np.int32]
    next_id: int
    match: Match | None = None
    before: Interests | None = None

    def descriptions(self, fresh: Sequence[str]) -> list[str]:
        """Those of before for interests that hardly changed; new ones (N,) give way where they collide."""
        if self.match is None or self.before is None:
            return list(fresh)
        kept = {
            index: self.before.descriptions[int(self.match.previous[index])]
            for index in np.flatnonzero(self.match.overlap >= _SAME_WORDS).tolist()
        }
        taken = {frozenset(description.split()) for description in kept.values()}
        worded = []
        for index, description in enumerate(fresh):
            if index not in kept:
                description = distinct(description, taken)
                taken.add(frozenset(description.split()))
            worded.append(kept.get(index, description))
        return worded


def identify(items: Sequence[str], fitted: Fit, previous: Path | None) -> Identified:
    """Give interests their ids, and put them in the order of the ids.

    Args:
        items: of the catalogue that the interests were fitted on.
        previous: folder of the interests to continue; None = ids start at 0.

    Raises:
        ArtifactError: a file of the previous interests is missing or damaged.
    """
    interests = len(fitted.paths)
    if previous is None:
        return Identified(fitted, np.arange(interests, dtype=np.int32), interests)
    old = load(previous)
    before = load_assignment(previous).as_dict()
    rows = [items[row] for row in fitted.rows]
    matched = match(rows, fitted.labels, fitted.traffic, interests, before, len(old))
    ids, next_id = name(matched.previous, old.ids, open_model(previous).next_id)
    order = np.argsort(ids)
    matched = Match(matched.previous[order], matched.overlap[order], matched.churn)
    return Identified(fitted.reordered(order), ids[order], next_id, matched, old)
