"""Constrained beam search: the probabilities of names after each prompt of a batch, from few forward passes.

A name's probability is the product of the renormalised probabilities of its choices in the trie. Level by
level, per prompt the `beam` open branches with the largest probability are read; what lies under the others
is left at zero. A branch that is less probable than the `top`-th name found is never read, whatever the beam:
no name under it can enter the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from freshet.backends.planners.bulk.trie import Trie
from freshet.core.types import Usage

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Level:
    """The branches at one depth of choices as tables, on the model's device.

    Attributes:
        columns: (b, c) column of each child's token among the logits; inner children first, then leaves.
        missing: (b, c) True where a branch has fewer children; None where all have c.
        names: (b, c) the interest a leaf stands for; N at inner and missing children.
        inner: (b, i) branch of the next level that an inner child leads to, 0 where `closed`.
        closed: (b, i) True where there is no such child.
        tokens: (b, w) tokens from the branch before to this one, padded with 0; `lengths` (b,) how many.
        starts: (b,) tokens from the end of the prompt to the branch before.
    """

    columns: Tensor
    missing: Tensor | None
    names: Tensor
    inner: Tensor
    closed: Tensor
    tokens: NDArray[np.int64]
    lengths: NDArray[np.int64]
    starts: NDArray[np.int64]


def wanted(trie: Trie) -> NDArray[np.int64]:
    """Tokens that are a choice anywhere, ascending: the columns of the logits."""
    return np.unique(np.concatenate([branch.tokens for branch in trie.branches]))


def levels(trie: Trie, device: torch.device) -> list[Level]:
    """The trie as tables; the path to the first choice is left to the prompts."""
    columns, found, start = wanted(trie), [], 0
    before = {0: len(trie.branches[0].path)}  # branch -> length of the path to its parent
    for count in trie.levels:
        found.append(_level(trie, start, count, columns, before, device))
        start += count
    return found


def _level(
    trie: Trie,
    start: int,
    count: int,
    columns: NDArray[np.int64],
    before: dict[int, int],
    device: torch.device,
) -> Level:
    branches = trie.branches[start : start + count]
    width = max(len(branch.tokens) for branch in branches)
    open_width = max(int((branch.targets >= 0).sum()) for branch in branches)
    at = np.zeros((count, width), np.int64)
    missing = np.ones((count, width), bool)
    names = np.full((count, width), trie.size, np.int64)
    inner = np.zeros((count, open_width), np.int64)
    closed = np.ones((count, open_width), bool)
    skip = len(trie.branches[0].path)
    pieces, starts = [], []
    for row, branch in enumerate(branches):
        order = np.argsort(branch.targets < 0, kind="stable")
        targets, size = branch.targets[order], len(order)
        at[row, :size] = np.searchsorted(columns, branch.tokens[order])
        missing[row, :size] = False
        names[row, :size] = np.where(targets < 0, ~targets, trie.size)
        below = targets[targets >= 0]
        inner[row, : len(below)] = below - (start + count)
        closed[row, : len(below)] = False
        before.update(dict.fromkeys(below.tolist(), len(branch.path)))
        parent = before[start + row]
        pieces.append(branch.path[parent:])
        starts.append(parent - skip)
    tokens = np.zeros((count, max(map(len, pieces))), np.int64)
    for row, piece in enumerate(pieces):
        tokens[row, : len(piece)] = piece
    return Level(
        torch.from_numpy(at).to(device),
        torch.from_numpy(missing).to(device) if missing.any() else None,
        torch.from_numpy(names).to(device),
        torch.from_numpy(inner).to(device),
        torch.from_numpy(closed).to(device),
        tokens,
        np.array([len(piece) for piece in pieces]),
        np.array(starts),
    )


def search(reading: Reading, tables: list[Level], size: int, beam: int, top: int) -> Tensor:
    """Log-probabilities (n, size) of names; -inf where they were not found, NaN in rows with bad scores.

    Args:
        size: number of names N.
        beam: branches read per prompt and level.
        top: how many names of a row are wanted; only these are sure to be there.
    """
    n = len(reading.rows)
    logits = reading.start()
    device = logits.device
    found = torch.full((n, size + 1), -torch.inf, device=device)  # the last column takes what is no leaf
    rows = torch.arange(n, device=device)
    branch = slots = torch.zeros_like(rows)
    mass = torch.zeros(n, device=device)
    width = 1
    for depth, level in enumerate(tables):
        score = mass[:, None] + _choices(level, branch, logits)
        if depth == 0:  # all rows, one branch
            found.index_copy_(1, level.names[0], score)
        else:
            found[rows[:, None], level.names[branch]] = score
        found[:, size] = -torch.inf
        found[rows[score.isnan().any(1)]] = torch.nan
        if depth + 1 == len(tables):
            break
        open_width = level.inner.shape[1]
        waiting = torch.full((n, width, open_width), -torch.inf, device=device)
        waiting[rows, slots] = score[:, :open_width].masked_fill(level.closed[branch], -torch.inf)
        leads = torch.zeros((n, width, open_width), dtype=torch.long, device=device)
        leads[rows, slots] = level.inner[branch]
        best, which = waiting.view(n, -1).topk(min(beam, width * open_width), dim=1)
        keep = best > -torch.inf
        if top < size:
            keep &= best >= found[:, :size].topk(top, dim=1).values[:, -1:]
        rows, slots = keep.nonzero(as_tuple=True)
        if not len(rows):
            break
        mass, which = best[rows, slots], which[rows, slots]
        branch = leads.view(n, -1)[rows, which]
        width = int(slots.max()) + 1
        at = branch.cpu().numpy()
        following = tables[depth + 1]
        lengths = following.lengths[at]
        tokens = following.tokens[at]
        logits = reading.follow(
            Continuations(
                rows=rows.cpu().numpy(),
                slots=slots.cpu().numpy(),
                parents=(which // open_width).cpu().numpy(),
                tokens=tokens[np.arange(tokens.shape[1]) < lengths[:, None]],
                starts=following.starts[at],
                lengths=lengths,
            )
        )
    return found[:, :size]


def _choices(level: Level, branch: Tensor, logits: Tensor) -> Tensor:
    """Log-probability (m, c) of each child of m branches; -inf where there is none."""
    if len(level.columns) == 1:  # the root: all rows choose among the same tokens
        chosen = logits[:, level.columns[0]]
    else:
        chosen = logits.gather(1, level.columns[branch])
    if level.missing is not None:
        chosen = chosen.masked_fill(level.missing[branch], -torch.inf)
    return torch.log_softmax(chosen, dim=1)


@dataclass(frozen=True, slots=True)
class Continuations:
    """New tokens after prompts, or after the continuations read before: m of them, by row, then slot.

    Attributes:
        rows: (m,) row within the batch.
        slots: (m,) number among the row's continuations.
        parents: (m,) slot of the one read before that each goes on with; the first go on with the prompt.
        tokens: flat; `lengths` (m,) how many each has.
        starts: (m,) tokens between the prompt and the new ones.
    """

    rows: NDArray[np.int64]
    slots: NDArray[np.int64]
    parents: NDArray[np.int64]
    tokens: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]


class Reading(Protocol):
    """A batch of n prompts."""

    usage: Usage

    @property
    def rows(self) -> NDArray[np.int64]:
        """(n,) positions of the prompts among all."""

    def start(self) -> Tensor:
        """Logits (n, columns) after the prompts."""

    def follow(self, new: Continuations) -> Tensor:
        """Logits (m, columns) after each continuation."""
