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
