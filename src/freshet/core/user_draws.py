"""Draws of users by their number: a user is always drawn alike, and draws of other salts are independent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MASK = 0xFFFF_FFFF_FFFF_FFFF


def mixed(x: int) -> int:
    """Finaliser of SplitMix64 (Steele et al. 2014): every bit of the input moves half of the output's."""
    x = (x ^ x >> 30) * 0xBF58_476D_1CE4_E5B9 & _MASK
    x = (x ^ x >> 27) * 0x94D0_49BB_1331_11EB & _MASK
    return x ^ x >> 31


def mixed_all(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """(n,) `mixed`, many at a time."""
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58_476D_1CE4_E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D0_49BB_1331_11EB)
    return np.asarray(x ^ x >> np.uint64(31))
