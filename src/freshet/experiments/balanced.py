"""The relative effect on a scale that treats both arms alike, for intervals at every look.

treatment / control - 1 has an error that hangs on control alone: where outcomes are rare, looks at which
control happens to be high show a large harm **and** a small variance, and repeated looks pick just those.
(treatment - control) / (mean of both arms) has neither fault: by chance either arm is high as often. With w
the share of users in treatment, s = r / (1 + w r) and r = s / (1 - w s) tell one from the other exactly, and
both rise together: an interval of s is one of r. See `benchmarks/statistics.py`, `rare`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from freshet.experiments.effects import Effect


def balanced(found: Effect) -> tuple[float, float]:
    """(s, variance of s) of an effect; (NaN, inf) where nobody in either arm has anything to compare.

    The variance is the larger of that without an effect and that by the delta method at the one found: near
    no effect they agree, and where an arm has next to nothing the latter would be next to nothing as well.
    """
    share = _share(found)
    mean = (1 - share) * found.control + share * found.treatment
    if not (mean > 0 and found.relative.variance < math.inf):
        return math.nan, math.inf
    stretch = 1 + share * found.relative.value  # above 0, as `mean` is, unless control is below 0
    as_found = found.relative.variance / stretch**4 if stretch > 0 else math.inf
    return (found.treatment - found.control) / mean, max(found.absolute.variance / mean**2, as_found)


def relative_of(s: float, found: Effect) -> float:
    """The relative effect that a bound s stands for: inf where control may be 0, at least -1 if s is finite.

    Metrics are sums of counts, so treatment isn't below 0.
    """
    share = _share(found)
    if math.isinf(s):
        return s
    return max(-1.0, s / (1 - share * s)) if share * s < 1 else math.inf


def relatives_of(bounds: NDArray[np.float64], found: list[Effect]) -> list[float]:
    """(looks,) the same of each look."""
    return [relative_of(float(s), one) for s, one in zip(bounds, found, strict=True)]


def _share(found: Effect) -> float:
    return found.users[1] / max(1, sum(found.users))
