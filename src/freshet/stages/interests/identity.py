"""Stable ids: an interest keeps its id across a rebuild when most of what it was is still together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SAME = 0.1
"""Below this overlap (shared traffic over joint traffic) two interests have nothing but items in common."""


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
