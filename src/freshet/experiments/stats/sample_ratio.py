"""Whether users are split among the arms as was meant: by one look, or looked at as often as one likes.

`sample_ratio` is the chi-square test. `split_p` is the multinomial test of Lindon and Malek (2022,
"Anytime-Valid Inference for Multinomial Count Data"): each new user is a draw of an arm. The likelihood of
all draws under a Dirichlet mixture of splits around the one meant, over that under the split meant, is a
martingale that starts at 1 if users are split as meant. So, by Ville's inequality, it ever passes 1 / alpha
with a chance of at most alpha, with any number of users.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from freshet.core.errors import InputError

ALARM = 0.001
"""p of the sample-ratio check below which no result should be read (Fabijan et al. 2019)."""
WEIGHT = 100.0
"""Users that the mixture's belief in the split meant is worth: it looks for splits off by some 5 points.

It decides how soon what is found, never how often a false alarm is given.
"""


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
    p = float(scipy.special.chdtrc(len(users) - 1, statistic))
    return SampleRatio(tuple(users), expected, p, p < ALARM)


def split_p(users: ArrayLike, shares: Sequence[float]) -> NDArray[np.float64]:
    """(looks,) p of the split meant, valid at all looks together: it never rises as looks are added.

    Args:
        users: (looks, arms) different users by arm seen until each look.
        shares: (arms,) meant; they needn't sum to one.

    Raises:
        InputError: users are not counted for each share, or a share isn't positive.
    """
    n = np.atleast_2d(np.asarray(users, np.float64))
    if n.shape[1] != len(shares) or not all(share > 0 for share in shares):
        raise InputError(
            f"split of users: counts of {n.shape[1]} arms for shares {list(shares)}",
            hint="Give one positive share per arm.",
        )
    meant = np.asarray(shares, np.float64) / math.fsum(shares)
    prior, total = WEIGHT * meant, n.sum(axis=1)
    mixture = scipy.special.gammaln(WEIGHT) - scipy.special.gammaln(WEIGHT + total)
    mixture += (scipy.special.gammaln(prior + n) - scipy.special.gammaln(prior)).sum(axis=1)
    log_p = (n * np.log(meant)).sum(axis=1) - mixture
    return np.asarray(np.exp(np.minimum.accumulate(np.minimum(log_p, 0.0))))
