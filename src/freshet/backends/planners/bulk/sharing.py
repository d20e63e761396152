"""Which prompts begin alike, so that their common beginning is read once. No model and no torch here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
    tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = np.concatenate(prompts)
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
    batch: list[tuple[int, NDArray[np.int64]]] = []
    size = held = width = places = 0
    for (_, own, count), number, part in sorted(
        _pieces(groups, lengths, min(budget, tokens), rows), key=_class
    ):
        width, places, size, held = max(width, own), max(places, count), size + own * count, held + count
        cells = (len(batch) + 1) * places * width
        if batch and (size > tokens or held > rows or cells > WASTE * size):
            yield _batch(batch)
            batch, width, places, size, held = [], own, count, own * count, count
        batch.append((number, part))
    if batch:
        yield _batch(batch)


Piece = tuple[tuple[int, int, int], int, NDArray[np.int64]]
"""(size class, own tokens, rows), number of the group, the rows."""


def _class(piece: Piece) -> tuple[int, int, int]:
    return piece[0]


def _pieces(groups: Sequence[Group], lengths: NDArray[np.int64], tokens: int, rows: int) -> Iterator[Piece]:
    """The groups cut into rows of one length that fit a batch; sorted, like stands beside like."""
    for number, group in enumerate(groups):
        own = lengths[group.rows] - group.shared
        for length in np.unique(own).tolist():
            members = group.rows[own == length]
            most = max(1, min(tokens // length, rows))
            for start in range(0, len(members), most):
                part = members[start : start + most]
                yield (round(np.log2(len(part))), length, len(part)), number, part


def _batch(parts: Sequence[tuple[int, NDArray[np.int64]]]) -> Batch:
    places = max(len(rows) for _, rows in parts)
    return Batch(
        np.array([number for number, _ in parts]),
        places,
        np.concatenate([rows for _, rows in parts]),
        np.concatenate([index * places + np.arange(len(rows)) for index, (_, rows) in enumerate(parts)]),
    )
