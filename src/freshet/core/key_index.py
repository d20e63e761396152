"""Finds 64-bit keys among many: they are hashes, so their upper bits say nearly where each one stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class KeyIndex:
    """Keys, ascending, and where those with the same upper bits begin: there are one or two of each.

    Attributes:
        keys: (V,) 64-bit keys, ascending.
        firsts: (2**(64 - shift) + 1,) places.
        shift: 64 less the upper bits that count.
    """

    keys: NDArray[np.uint64]
    firsts: NDArray[np.int64]
    shift: np.uint64

    @classmethod
    def of(cls, keys: NDArray[np.uint64]) -> Self:
        """Of V keys, ascending."""
        bits = max(1, len(keys).bit_length())
        counts = np.bincount((keys >> np.uint64(64 - bits)).astype(np.int64), minlength=2**bits)
        return cls(keys, np.concatenate([[0], np.cumsum(counts)]), np.uint64(64 - bits))


@njit(cache=True, nogil=True)
def place_of(key, keys, firsts, shift):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # pragma: no cover - compiled
    """Where a key stands, -1 = it is not there; the arguments after it are the attributes of `KeyIndex`."""
    slot = key >> shift
    for place in range(firsts[slot], firsts[slot + np.uint64(1)]):
        if keys[place] == key:
            return place
    return -1
