"""Interests, contexts of them, and which of them may be offered; arrays as they are exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Interests:
    """The working level of the interest hierarchy: N clusters of items.

    Attributes:
        ids: (N,) stable ids; they survive a rebuild where the clusters overlap.
        descriptions: N unique keyword descriptions, such as `zombie, horror, survival`.
        vectors: (N, d) unit-length centroid of the text + co-engagement vectors of its items.
    """

    ids: NDArray[np.int32]
    descriptions: tuple[str, ...]
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    def index_by_id(self) -> NDArray[np.int16]:
        """(largest id + 2,) interest index by stable id, -1 where there is none."""
        index = np.full(int(self.ids.max()) + 2, -1, np.int16)
        index[self.ids] = np.arange(len(self), dtype=np.int16)
        return index


def indices_of(ids: NDArray[np.int32], index: NDArray[np.int16]) -> NDArray[np.int16]:
    """Interest indices of stable ids, -1 for those that are not there, by `Interests.index_by_id`."""
    known = (ids >= 0) & (ids < len(index))
    return np.where(known, index[np.where(known, ids, 0)], np.int16(-1))


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Interests (by stable id or exact description) and items that may not be recommended, with the reason.

    blocked: never offered. withdrawn: existed, no longer offered. sensitive: offered only to contexts
    that hold a sensitive interest already. allowed: when not empty, nothing else is offered.
    """

    blocked: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    withdrawn: frozenset[str] = frozenset()
    sensitive: frozenset[str] = frozenset()


FloatArray = NDArray[np.float32] | NDArray[np.float64]
IntArray = NDArray[np.int16] | NDArray[np.int32] | NDArray[np.int64]
BoolArray = NDArray[np.bool_]

RECENT = 10
"""How many recent distinct interests a transition remembers (the mixture's widest view of a user)."""

Context = tuple[int, ...]
"""Interest indices, most recent last, at most k long; `()` is a user with no recent interest."""


def pack_contexts(contexts: Sequence[Context], k: int) -> NDArray[np.int16]:
    """Contexts as a right-aligned (n, k) array padded with -1."""
    packed = np.full((len(contexts), k), -1, np.int16)
    for row, context in zip(packed, contexts, strict=True):
        if context:
            row[-len(context) :] = context
    return packed


def context_codes(contexts: NDArray[np.int16]) -> NDArray[np.int64]:
    """(n,) contexts (n, up to 4) as numbers, different for different contexts, in the contexts' order."""
    codes = np.zeros(len(contexts), np.int64)
    for column in contexts.T.astype(np.int64):
        codes = (codes << 15) + column + 1  # an index lies below 2**15 - 1
    return codes


def code_of(context: Context) -> int:
    """The number of one context, as `context_codes` gives it."""
    code = 0
    for index in context:
        code = (code << 15) + index + 1
    return code


def positions(values: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.int64]:
    """Where each wanted number stands among ascending values, -1 where it is not there."""
    if not len(values):
        return np.full(wanted.shape, -1, np.int64)
    place = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
    return np.where(values[place] == wanted, place, -1)
