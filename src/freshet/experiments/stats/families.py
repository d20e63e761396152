"""Several metrics at once, and whether users were split as meant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from freshet.core.errors import InputError

ALARM = 0.001
"""p of the sample-ratio check below which no result should be read (Fabijan et al. 2019)."""


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """(m,) p values adjusted for m tests by Holm's step-down; those that are NaN are no tests and stay NaN.

    Rejecting where the adjusted p is below alpha keeps the chance of any false rejection below alpha,
    however the metrics depend on each other. p values that hold at every look stay so.
    """
    values = np.asarray(p, np.float64)
    out = np.full(len(values), np.nan)
    tests = np.flatnonzero(~np.isnan(values))
    order = tests[np.argsort(values[tests], kind="stable")]
    raised = values[order] * np.arange(len(order), 0, -1)
    out[order] = np.minimum(1.0, np.maximum.accumulate(raised))
    return out


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Users found in each arm against the shares meant.

    Attributes:
        users, expected: by arm.
        p: chi-square, of the split as meant.
        alarm: p < 0.001: something treats the arms' users differently before they are counted (lost
            exposures, a crash, redirects, bots filtered by behaviour, a changed share). Don't read the
            effects; find the cause; start anew under another name and salt.
    """

    users: tuple[int, ...]
    expected: tuple[float, ...]
    p: float
    alarm: bool


def sample_ratio(users: Sequence[int], shares: Sequence[float]) -> SampleRatio:
    """Whether users were split as meant; shares needn't sum to one.

    Count distinct users exposed since the shares were last changed, not impressions: those differ
    between arms rightly.

    Raises:
        InputError: the two differ in length, or a share isn't positive.
    """
    if len(users) != len(shares) or not all(share > 0 for share in shares):
        raise InputError(
            f"sample ratio: {len(users)} counts of users for shares {list(shares)}",
            hint="Give one positive share per arm.",
        )
    total = sum(users)
    expected = tuple(total * share / math.fsum(shares) for share in shares)
    if not total:
        return SampleRatio(tuple(users), expected, 1.0, False)
    statistic = sum((n - e) ** 2 / e for n, e in zip(users, expected, strict=True))
    p = float(special.chdtrc(len(users) - 1, statistic))
    return SampleRatio(tuple(users), expected, p, p < ALARM)
