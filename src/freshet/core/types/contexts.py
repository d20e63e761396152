"""Contexts packed into arrays, and looked up there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from freshet.core.types.basics import Context


def pack_contexts(contexts: Sequence[Context], k: int) -> NDArray[np.int16]:
    """Contexts as a right-aligned (n, k) array padded with -1."""
    packed = np.full((len(contexts), k), -1, np.int16)
    for row, context in zip(packed, contexts, strict=True):
        if context:
            row[-len(context) :] = context
    return packed


def unpack_contexts(packed: NDArray[np.int16]) -> list[Context]:
    """The contexts of a right-aligned array padded with -1."""
    return [tuple(i for i in row if i >= 0) for row in packed.tolist()]


def context_codes(contexts: NDArray[np.int16]) -> NDArray[np.int64]:
    """(n,) contexts (n, up to 4) as numbers, different for different contexts, in the contexts' order."""
    codes = np.zeros(len(contexts), np.int64)
    for column in contexts.T.astype(np.int64):
        codes = (codes << 15) + column + 1  # an index lies below 2**15 - 1
    return codes


def positions(values: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each wanted number stands among ascending values, -1 where it is not there."""
    if not len(values):
        return np.full(wanted.shape, -1, np.int64)
    place = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
    return np.where(values[place] == wanted, place, -1)
