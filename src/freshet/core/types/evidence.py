"""What prompts say about recent transitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from freshet.core.types.interests import Context, context_codes, pack_contexts, positions


@dataclass(frozen=True, slots=True)
class Successor:
    """One entry of evidence: an interest people moved on to after a context."""

    interest: int
    share: float
    support: float


@dataclass(frozen=True, slots=True)
class ContextEvidence:
    """What the prompt of one context may say about recent transitions.

    `after` is the context the counts are about: the context itself, a suffix of it when its own support is
    too small, or `()` for global evidence.
    """

    after: Context
    successors: tuple[Successor, ...]


@dataclass(frozen=True, eq=False)
class Evidence(Mapping[Context, ContextEvidence]):
    """What prompts say, for C contexts at once; reads like a mapping from context to `ContextEvidence`.

    Attributes:
        contexts: (C, k) right-aligned, -1 padded, each once.
        after: (C,) how many of a context's last interests the counts are about; 0 = everybody's.
        successors: (C, m) interest indices, best first, -1 padded; each row names at least one.
        shares, supports: (C, m) of each, 0 at -1.
    """

    contexts: NDArray[np.int16]
    after: NDArray[np.int8]
    successors: NDArray[np.int16]
    shares: NDArray[np.float64]
    supports: NDArray[np.float64]

    @classmethod
    def none(cls, k: int) -> Evidence:
        """Nothing to say about any context."""
        rows, width = np.zeros((0, k), np.int16), np.zeros((0, 1))
        return cls(rows, np.zeros(0, np.int8), width.astype(np.int16), width, width)

    def find(self, contexts: NDArray[np.int16]) -> NDArray[np.int64]:
        """(n,) row of each context (n, k), -1 where there is no evidence."""
        codes, order = self._index
        place = positions(codes, context_codes(contexts))
        return np.where(place >= 0, order[place] if len(order) else -1, -1)

    def __getitem__(self, context: Context) -> ContextEvidence:
        k = self.contexts.shape[1]
        [row] = self.find(pack_contexts([context], k)) if len(context) <= k else [-1]
        if row < 0:
            raise KeyError(context)
        columns = (self.successors[row], self.shares[row], self.supports[row])
        listed = zip(*(column.tolist() for column in columns), strict=True)
        after = context[len(context) - int(self.after[row]) :]
        return ContextEvidence(after, tuple(Successor(*entry) for entry in listed if entry[0] >= 0))

    def __iter__(self) -> Iterator[Context]:
        return (tuple(i for i in row if i >= 0) for row in self.contexts.tolist())

    def __len__(self) -> int:
        return len(self.contexts)

    @cached_property
    def _index(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        codes = context_codes(self.contexts)
        order = np.argsort(codes)
        return codes[order], order
