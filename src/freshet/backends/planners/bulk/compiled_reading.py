"""Reading prompts and continuations on a CPU, into one arena, without padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from freshet.backends.planners.bulk.compiled_attention import Arena
from freshet.backends.planners.bulk.search import Continuations
from freshet.backends.planners.bulk.sharing import Group
from freshet.core.types import Usage

if TYPE_CHECKING:
    from torch import Tensor

    from freshet.backends.planners.bulk.shared import SharedReader


ROWS = 4096
"""Prompts whose names are searched together, about."""


def readings(
    reader: SharedReader, prompts: Sequence[Sequence[int]], groups: Sequence[Group], branches: int, kept: int
) -> Iterator[CompiledReading]:
    """Read the groups' beginnings, then their rows batch by batch.

    Args:
        branches: most continuations of a prompt that are read at once; 0 if there are none.
        kept: tokens of a batch at most, about.
    """
    rows = np.concatenate([group.rows for group in groups])
    sizes = np.array([len(group.rows) for group in groups])
    shared = np.array([group.shared for group in groups])
    lengths = np.array([len(prompts[row]) for row in rows])
    tokens = np.fromiter(chain.from_iterable(prompts[row] for row in rows), np.int64, int(lengths.sum()))
    starts = np.cumsum(lengths) - lengths
    own = lengths - np.repeat(shared, sizes)
    most = own + branches  # of a row; continuations have a token or two
    # what the search holds of a row grows with its continuations
    together = min(ROWS, max(1, 4 * reader.budget // max(1, branches)))
    batches = cut(most, max(-(-int(most.sum()) // max(reader.budget, kept)), -(-len(rows) // together)))
    largest = max(int(most[a:b].sum()) for a, b in batches)
    arena, usage = Arena(int(shared.sum()) + largest), Usage()
    some = np.flatnonzero(shared)
    spans = np.zeros((len(groups), 1, 2), np.int64)
    spans[:, 0, 1] = np.cumsum(shared)
    spans[:, 0, 0] = spans[:, 0, 1] - shared
    heads = starts[np.cumsum(sizes) - sizes]  # where the first prompt of each group starts
    for a, b in cut(shared[some], -(-int(shared.sum()) // reader.budget)):
        part = some[a:b]
        read = np.repeat(heads[part], shared[part]) + within(shared[part])
        no_spans = np.empty((len(part), 0, 2), np.int64)
        current = reader.ragged(arena, shared[part], no_spans)
        _, cost = reader.forward(tokens[read], np.zeros_like(part), shared[part], current, None)
        arena.used += len(read)
        usage += cost
    beginnings, seen = arena.used, np.repeat(spans, sizes, axis=0)
    for a, b in batches:
        arena.used = beginnings
        read = np.repeat(starts[a:b] + lengths[a:b] - own[a:b], own[a:b]) + within(own[a:b])
        yield CompiledReading(
            reader, rows[a:b], usage, arena, tokens[read], lengths[a:b], own[a:b], seen[a:b]
        )
        usage = Usage()


@dataclass(slots=True)
class CompiledReading:
    """One batch of n prompts being read, and continuations of them.

    Attributes:
        rows: (n,) positions among the prompts.
        usage: of all passes so far.
        arena: holds the beginnings.
        tokens: flat, the prompts' own.
        lengths: (n,) tokens of each prompt; `own` (n,) how many are not of its beginning.
        seen: (n, s, 2) spans of the arena: the beginning; once started, the prompt's own tokens.
        path: (m, s, 2) spans of the continuations read last; `places` (row, slot) -> which.
    """

    reader: SharedReader
    rows: NDArray[np.int64]
    usage: Usage
    arena: Arena
    tokens: NDArray[np.int64]
    lengths: NDArray[np.int64]
    own: NDArray[np.int64]
    seen: NDArray[np.int64]
    path: NDArray[np.int64] | None = None
    places: NDArray[np.int64] | None = None

    def start(self) -> Tensor:
        """Logits (n, columns) after the prompts."""
        logits, self.seen = self._read(self.tokens, self.lengths - self.own, self.own, self.seen)
        return logits

    def follow(self, new: Continuations) -> Tensor:
        """Logits (m, columns) after each continuation."""
        before = self.seen[new.rows]
        if self.path is not None and self.places is not None:
            before = np.concatenate([before, self.path[self.places[new.rows, new.parents]]], axis=1)
        starts = self.lengths[new.rows] + new.starts
        logits, read = self._read(new.tokens, starts, new.lengths, before)
        self.path = read[:, self.seen.shape[1] :]
        self.places = np.zeros((len(self.rows), int(new.slots.max()) + 1), np.int64)
        self.places[new.rows, new.slots] = np.arange(len(new.rows))
        return logits

    def _read(
        self,
        tokens: NDArray[np.int64],
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        seen: NDArray[np.int64],
    ) -> tuple[Tensor, NDArray[np.int64]]:
        """Logits after each row, and the spans that what follows it sees; in passes of like size."""
        ends = np.cumsum(lengths)
        found, spans = [], []
        for a, b in cut(lengths, -(-len(tokens) // self.reader.budget)):
            own = lengths[a:b]
            current = self.reader.ragged(self.arena, own, seen[a:b])
            part = tokens[ends[a] - lengths[a] : ends[b - 1]]
            logits, usage = self.reader.forward(part, starts[a:b], own, current, np.cumsum(own) - 1)
            self.arena.used += len(part)
            self.usage += usage
            found.append(logits)
            spans.append(current.spans)
        return torch.cat(found), np.concatenate(spans)


def cut(sizes: NDArray[np.int64], count: int) -> list[tuple[int, int]]:
    """Neighbours (first, last + 1) in about `count` parts of about the same sum, none of them empty."""
    if not len(sizes):
        return []
    ends = np.cumsum(sizes)
    part = (ends - sizes) * max(count, 1) // max(int(ends[-1]), 1)
    cuts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(sizes)]
    return list(pairwise(cuts))


def within(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, ... for each of rows with so many tokens, flat."""
    return np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
