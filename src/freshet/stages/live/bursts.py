"""Bursts: interests that are suddenly taken up far more often than they were.

What was taken up lately is compared with what was to be expected, as if users came independently
(Poisson). The surprise bounds how unlikely that is (Chernoff): P(X >= k) <= exp(-(k log(k / m) - k + m)). A
decayed count varies less than a whole one of the same mean, so the bound is on the safe side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import FloatArray

RARE = 1e-3
"""Chance of any burst at one look, by the bound, where nothing has changed."""
FEWEST = 5.0
"""Fewer transitions are no burst; one person moves on to an interest once, since it is then known."""


@dataclass(frozen=True, slots=True)
class Burst:
    """An interest in a burst: index, decayed count of late, the count expected, nats of surprise."""

    successor: int
    seen: float
    expected: float
    surprise: float


def find(brief: FloatArray, long: FloatArray, ratio: float) -> list[Burst]:
    """Bursts, the most surprising first.

    Args:
        brief, long: (N,) decayed counts as of one moment, of a short and a long half-life.
        ratio: the short half-life by the long one: what a steady stream leaves in `brief` of `long`.
    """
    interests = len(brief)
    if not brief.any():
        return []
    share = (long + 1.0) / (long.sum() + interests)
    busy = max(float(brief.sum()), float(long.sum()) * ratio)  # an hour in which all is busy is no burst
    expected = share * busy
    surprise = _surprise(brief, expected)
    found = np.flatnonzero((brief >= FEWEST) & (surprise > np.log(interests / RARE)))
    ranked = found[np.argsort(-surprise[found], kind="stable")]
    return [Burst(int(s), float(brief[s]), float(expected[s]), float(surprise[s])) for s in ranked]


def _surprise(seen: FloatArray, expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) nats by which a count lies above its expectation; 0 where it doesn't."""
    above = np.maximum(seen, expected)
    return np.asarray(above * np.log(above / expected) - above + expected)
