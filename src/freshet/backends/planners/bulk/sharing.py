"""Which prompts begin alike, so that their common beginning is read once. No model and no torch here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Group:
    """Prompts whose first `shared` tokens are the same; each has at least one token of its own after them.

    Attributes:
        rows: (n,) positions among the prompts given.
        shared: tokens read once for all of them; 0 for a prompt that shares nothing.
    """

    rows: NDArray[np.int64]
    shared: int


def share(prompts: Sequence[Sequence[int]]) -> list[Group]:
    """Split prompts into groups so that few tokens are read: what a group shares once, then the rest.

    One level of sharing is used: a group's beginning is read in full, even if other groups begin like it.
    Sets of prompts are joined greedily, the longest beginnings first, wherever that saves tokens. Groups come
    in the order of their tokens.

    Args:
        prompts: n sequences of at least one token.
    """
    if not prompts:
        return []
    order, common = _sorted(prompts)
    below = np.concatenate([[0], np.cumsum(common)])  # of the first i prompts
    _, groups = _split(common, below, 0, len(order))
    return [Group(order[at], shared) for at, shared in sorted(groups, key=lambda group: group[0][0])]


def _sorted(prompts: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions in the order of their tokens, and how many tokens each shares with the one before it.

    The last token never counts as shared: the answer is read off it.
    """
    lengths = np.array([len(prompt) for prompt in prompts], np.int64)
    tokens = np.full((len(prompts), lengths.max()), -1, np.int64)
    flat = np.fromiter(chain.from_iterable(prompts), np.int64, int(lengths.sum()))
    tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = flat
    order = np.lexsort(tokens.T[::-1])
    tokens, lengths = tokens[order], lengths[order]
    differs = np.ones((len(order), tokens.shape[1] + 1), bool)
    differs[1:, :-1] = tokens[1:] != tokens[:-1]
    common = differs.argmax(axis=1)
    common[1:] = np.minimum(common[1:], np.minimum(lengths[1:], lengths[:-1]) - 1)
    return order, common


def _split(
    common: NDArray[np.int64], below: NDArray[np.int64], low: int, high: int
) -> tuple[int, list[tuple[NDArray[np.int64], int]]]:
    """Most tokens that sharing saves among the sorted prompts low..high, and the groups that save them.

    All of them share `shared` tokens; where they part, some sets share more. A set goes its own way if that
    saves more than `shared` tokens for each of its prompts; the others form one group.
    """
    inner = common[low + 1 : high]
    if not len(inner):
        return 0, [(np.array([low]), 0)]
    shared = int(inner.min())
    cuts = np.concatenate([[low], low + 1 + np.flatnonzero(inner == shared), [high]])
    sizes = np.diff(cuts)
    most = below[cuts[1:]] - below[cuts[:-1] + 1]  # that a set can save; to look into the others is no use
    saved, groups, together = 0, [], np.ones(len(sizes), bool)
    for part in np.flatnonzero(most > shared * sizes).tolist():
        apart, found = _split(common, below, int(cuts[part]), int(cuts[part + 1]))
        if apart > shared * int(sizes[part]):
            saved, together[part] = saved + apart, False
            groups += found
    rest = np.arange(low, high)[np.repeat(together, sizes)]
    if len(rest):
        saved += (len(rest) - 1) * shared
        groups.append((rest, shared))
    return saved, groups


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows read in one pass, as a grid of groups x places; a place may stay empty.

    Attributes:
        groups: (g,) which group's beginning each part of the grid sees.
        places: rows that each group may have in this batch.
        rows: (n,) positions among the prompts, in the order of the grid.
        cells: (n,) where each row stands among the g * places.
    """

    groups: NDArray[np.int64]
    places: int
    rows: NDArray[np.int64]
    cells: NDArray[np.int64]


LIKE = 1.25
"""Rows of a group are read together if the longest has at most so many times the tokens of the shortest."""

WASTE = 2.0
"""Cells of a batch per token; empty cells cost time in attention, and nowhere else."""


def pack(
    groups: Sequence[Group], lengths: NDArray[np.int64], budget: int, tokens: int, rows: int
) -> Iterator[Batch]:
    """Batches with rows of like length and groups of like size.

    Args:
        groups: of prompts.
        lengths: (n,) tokens of every prompt.
        budget: most own tokens of a group within a batch (but at least one row).
        tokens, rows: most own tokens and rows of a batch (but at least one group).
    """
    batch: list[Piece] = []
    for piece in sorted(_pieces(groups, lengths, min(budget, tokens), rows), key=Piece.similarity):
        more = [*batch, piece]
        size, held = sum(part.tokens for part in more), sum(len(part.rows) for part in more)
        cells = len(more) * max(len(part.rows) for part in more) * max(part.width for part in more)
        if batch and (size > tokens or held > rows or cells > WASTE * size):
            yield _batch(batch)
            more = [piece]
        batch = more
    if batch:
        yield _batch(batch)


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one group with about as many own tokens each.

    Attributes:
        group: its number.
        rows: (n,) positions among the prompts.
        width: own tokens of the longest row.
        tokens: own tokens of all rows.
    """

    group: int
    rows: NDArray[np.int64]
    width: int
    tokens: int

    def similarity(self) -> tuple[int, int, int]:
        """Sorted by this, pieces that waste few cells together are neighbours."""
        return round(np.log2(len(self.rows))), self.width, len(self.rows)


def _pieces(groups: Sequence[Group], lengths: NDArray[np.int64], tokens: int, rows: int) -> Iterator[Piece]:
    """The groups cut into rows of like length that fit a batch."""
    for number, group in enumerate(groups):
        own = lengths[group.rows] - group.shared
        kind = np.floor(np.log(own) / np.log(LIKE))
        for value in np.unique(kind):
            of_kind = np.flatnonzero(kind == value)
            members, widths = group.rows[of_kind], own[of_kind]
            most = max(1, min(tokens // int(widths.max()), rows))
            for start in range(0, len(members), most):
                part = slice(start, start + most)
                yield Piece(number, members[part], int(widths[part].max()), int(widths[part].sum()))


def _batch(parts: Sequence[Piece]) -> Batch:
    places = max(len(part.rows) for part in parts)
    return Batch(
        np.array([part.group for part in parts]),
        places,
        np.concatenate([part.rows for part in parts]),
        np.concatenate([index * places + np.arange(len(part.rows)) for index, part in enumerate(parts)]),
    )
