"""Are the interests any good? Sizes, balance, coherence against chance, and titles to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.stages.interests.partition import centroids

_SAMPLES = 5


def coherence(
    vectors: NDArray[np.float64],
    traffic: NDArray[np.float64],
    labels: NDArray[np.int64],
    interests: int,
) -> NDArray[np.float64]:
    """(N,) mean cosine between the items of an interest and its centroid."""
    center = centroids(vectors, traffic, labels, interests)
    cosine = np.einsum("nd,nd->n", vectors, center[labels])
    sizes = np.bincount(labels, minlength=interests)
    return np.asarray(np.bincount(labels, cosine, interests) / np.maximum(sizes, 1))


def gini(shares: NDArray[np.float64]) -> float:
    """Inequality of traffic: 0 when all interests are equally busy, towards 1 when one has everything."""
    ordered = np.sort(shares)
    rank = np.arange(1, len(ordered) + 1)
    total = float(ordered.sum())
    return float((2 * rank - len(ordered) - 1) @ ordered / (len(ordered) * total)) if total else 0.0


def report(
    vectors: NDArray[np.float64],
    traffic: NDArray[np.float64],
    labels: NDArray[np.int64],
    descriptions: Sequence[str],
    titles: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """Figures of n fitted items in N interests; numbers are rounded so that reports compare."""
    interests = len(descriptions)
    share = np.bincount(labels, traffic, interests) / traffic.sum()
    sizes = np.bincount(labels, minlength=interests)
    own = coherence(vectors, traffic, labels, interests)
    shuffled = np.random.default_rng(seed).permutation(labels)
    chance = coherence(vectors, traffic, shuffled, interests)
    return {
        "interests": interests,
        "items": _spread(sizes.astype(np.float64)),
        "traffic_share": {**_spread(share), "gini": round(gini(share), 4)},
        "largest_over_mean": round(float(share.max() * interests), 3),
        "coherence": round(float(own @ sizes / sizes.sum()), 4),
        "coherence_by_chance": round(float(chance @ sizes / sizes.sum()), 4),
        "samples": {
            description: [titles[item] for item in busiest(labels, traffic, interest, _SAMPLES)]
            for interest, description in enumerate(descriptions)
        },
    }


def busiest(labels: NDArray[np.int64], traffic: NDArray[np.float64], interest: int, count: int) -> list[int]:
    """Positions of the interest's items with the most engagements."""
    members = np.flatnonzero(labels == interest)
    return [int(m) for m in members[np.argsort(-traffic[members], kind="stable")[:count]]]


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    return {
        "min": round(float(values.min()), 6),
        "median": round(float(np.median(values)), 6),
        "max": round(float(values.max()), 6),
    }
