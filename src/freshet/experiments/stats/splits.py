"""Whether users are split among the arms as was meant, looked at as often as one likes.

The multinomial test of Lindon and Malek (2022, "Anytime-Valid Inference for Multinomial Count Data"): each
new user is a draw of an arm. The likelihood of all draws under a Dirichlet mixture of splits around the one
meant, over that under the split meant, is a martingale that starts at 1 if users are split as meant. So, by
Ville's inequality, it ever passes 1 / alpha with a chance of at most alpha, with any number of users.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from freshet.core.errors import InputError

WEIGHT = 100.0
"""Users that the mixture's belief in the split meant is worth: it looks for splits off by some 5 points.

It decides how soon what is found, never how often a false alarm is given.
"""


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
    mixture = special.gammaln(WEIGHT) - special.gammaln(WEIGHT + total)
    mixture += (special.gammaln(prior + n) - special.gammaln(prior)).sum(axis=1)
    log_p = (n * np.log(meant)).sum(axis=1) - mixture
    return np.asarray(np.exp(np.minimum.accumulate(np.minimum(log_p, 0.0))))
