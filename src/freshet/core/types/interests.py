"""Interests, and which of them may be offered."""

from __future__ import annotations

from dataclasses import dataclass

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
