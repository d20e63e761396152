"""The policy: the best interests, or interests drawn by their probabilities, each unlike those above it.

A share of requests explores: its interests are drawn one after the other by a softmax over the scores
(Plackett and Luce's model), the others take the best. The propensity of each place is exact for that policy,
so that outcomes can be weighted later as if another policy had chosen (off-policy evaluation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.core.types import FloatArray


@dataclass(frozen=True, slots=True)
class Policy:
    """How interests are chosen: `share` of requests explores, at a temperature; see `[serving]`."""

    share: float
    temperature: float
    diversity: float


@dataclass(frozen=True, slots=True)
class Choice:
    """Interests chosen, in order.

    Attributes:
        interests: (m,) indices.
        propensities: (m,) probability of each at its place, given those before it.
        drawn: (m,) whether another would have been the best there.
        better: (m,) how many interests score better without live signals.
        explored: whether this request explored.
    """

    interests: NDArray[np.int64]
    propensities: NDArray[np.float64]
    drawn: NDArray[np.bool_]
    better: NDArray[np.int64]
    explored: bool


def similarity_of(vectors: FloatArray) -> NDArray[np.float32]:
    """(N, N) cosines of unit vectors (N, d), none below 0."""
    return np.clip(vectors @ vectors.T, 0.0, 1.0).astype(np.float32)


def choose(
    scores: NDArray[np.float64],
    fused: NDArray[np.float64],
    similarity: NDArray[np.float32],
    count: int,
    policy: Policy,
    uniforms: NDArray[np.float64],
) -> Choice:
    """Up to `count` interests out of those with a finite score.

    Args:
        scores: (N,) log-probabilities up to a constant, -inf for what may not be chosen.
        fused: (N,) the same without live signals.
        similarity: (N, N) of interests, as of `similarity_of`.
        uniforms: (count + 1,) independent numbers in [0, 1): whether to explore, then one draw a place.
    """
    interests, propensities, drawn, better = _choose(
        scores,
        fused,
        similarity,
        min(count, len(scores)),
        policy.diversity,
        policy.temperature,
        policy.share,
        uniforms,
    )
    return Choice(interests, propensities, drawn, better, bool(uniforms[0] < policy.share))


def first_place_probabilities(scores: NDArray[np.float64], policy: Policy) -> NDArray[np.float64]:
    """(N,) probability that `choose` puts each interest first; all 0 where nothing may be chosen.

    Args:
        scores: (N,) log-probabilities up to a constant, -inf for what may not be chosen.
    """
    best = int(np.argmax(scores))
    if scores[best] == -np.inf:
        return np.zeros(len(scores))
    odds = np.exp((scores - scores[best]) / policy.temperature)
    chances = policy.share * odds / odds.sum()
    chances[best] += 1.0 - policy.share
    return np.asarray(chances)


@njit(cache=True, nogil=True)
def _choose(scores, fused, similarity, count, diversity, temperature, share, uniforms):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover
    size = len(scores)
    left = scores.copy()
    near = np.zeros(size, np.float64)  # similarity to what stands above
    places = np.empty(count, np.int64)
    propensities = np.empty(count, np.float64)
    drawn = np.zeros(count, np.bool_)
    better = np.zeros(count, np.int64)
    explores = uniforms[0] < share
    # of requests that show what stands so far: the share that takes the best, and the share that draws
    greedy, drawing = 1.0 - share, share
    found = 0
    while found < count:
        best, top = -1, -np.inf
        for i in range(size):
            value = left[i] - diversity * near[i]
            if value > top:
                best, top = i, value
        if best < 0:
            break
        total = 0.0
        for i in range(size):
            total += np.exp((left[i] - diversity * near[i] - top) / temperature)
        pick = best
        if explores:
            goal = uniforms[1 + found] * total
            passed = 0.0
            for i in range(size):
                weight = np.exp((left[i] - diversity * near[i] - top) / temperature)
                if weight > 0.0:
                    pick = i
                    passed += weight
                    if passed > goal:
                        break
        drawing *= np.exp((left[pick] - diversity * near[pick] - top) / temperature) / total
        if pick != best:
            greedy = 0.0
        places[found] = pick
        propensities[found] = greedy + drawing
        greedy, drawing = greedy / propensities[found], drawing / propensities[found]
        drawn[found] = pick != best
        for i in range(size):
            better[found] += fused[i] > fused[pick]
        left[pick] = -np.inf
        for i in range(size):
            near[i] = max(near[i], similarity[pick, i])
        found += 1
    return places[:found], propensities[:found], drawn[:found], better[:found]
