"""What sequence models and rankers learn from, as tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from freshet.backends.sequences.network import HIDDEN, Network, Shape
from freshet.backends.sequences.recipes import Recipe
from freshet.core.ports import RankingJob, Sequences

TOGETHER = 32
"""Rows of one interest that are learned from together: they share its items."""


class TrainingRows(Protocol):
    """Rows that a network learns from."""

    def __len__(self) -> int: ...

    def shape(self, recipe: Recipe) -> Shape:
        """Of the network that learns from them."""

    def order(self, random: torch.Generator) -> Tensor:
        """(n,) the order of one epoch."""

    def loss(self, network: Network, chosen: Tensor) -> Tensor:
        """Sum of the chosen rows' nll."""


class Rows:
    """Training sequences as torch tensors, one row per sequence."""

    def __init__(self, sequences: Sequences) -> None:
        self.recent = tensor(sequences.recent.astype(np.int64))
        self.following = tensor(sequences.following.astype(np.int64))
        self.known = tensor(sequences.known)
        self.prior = tensor(sequences.prior.astype(np.float32))
        self.moment = tensor(sequences.moment)

    def __len__(self) -> int:
        return len(self.following)

    def shape(self, recipe: Recipe) -> Shape:
        """Of the network that learns from them."""
        return shape(recipe, self.known.shape[1], self.recent.shape[1], self.prior.shape[1])

    def order(self, random: torch.Generator) -> Tensor:
        """(n,) any order."""
        return torch.randperm(len(self), generator=random)

    def loss(self, network: Network, chosen: Tensor) -> Tensor:
        """Sum of the chosen rows' nll."""
        return cross_entropy(self.logits(network, chosen), self.following[chosen], reduction="sum")

    def logits(self, network: Network, chosen: Tensor) -> Tensor:
        """(n, V) with what is known out of the running: it is never a candidate."""
        logits: Tensor = network(self.recent[chosen], self.prior[self.moment[chosen]])
        return logits.masked_fill(self.known[chosen], HIDDEN)


class ItemRows:
    """A job as tensors.

    Args:
        share_all: weight of the loss over all items, beside that over the items of the interest.
        unlearned: share of the items that do without what was learned of them at a step, as new ones must.
    """

    def __init__(self, job: RankingJob, share_all: float, unlearned: float) -> None:
        interest = np.repeat(np.arange(len(job.start) - 1), np.diff(job.start))
        self.recent = tensor(job.recent.astype(np.int64))
        self.following = tensor(job.following.astype(np.int64))
        self.interest = tensor(interest[job.following])
        self.moment, self.there, self.prior = tensor(job.moment), tensor(job.there), tensor(job.prior)
        self.sizes: list[int] = np.diff(job.start).tolist()
        self.start: list[int] = job.start.tolist()
        self.share_all, self.unlearned = share_all, unlearned

    def __len__(self) -> int:
        return len(self.following)

    def shape(self, recipe: Recipe) -> Shape:
        """Of the network that learns from them; its prior is given."""
        return shape(recipe, self.prior.shape[1], self.recent.shape[1], 0)

    def order(self, random: torch.Generator) -> Tensor:
        """Rows of one interest in heaps of TOGETHER, the heaps in any order."""
        shuffled = torch.randperm(len(self), generator=random)
        ordered = shuffled[torch.argsort(self.interest[shuffled], stable=True)]
        heaps = torch.split(ordered, TOGETHER)
        return torch.cat([heaps[i] for i in torch.randperm(len(heaps), generator=random).tolist()])

    def loss(self, network: Network, chosen: Tensor) -> Tensor:
        """Sum of the chosen rows' nll: within interests, and over all items as far as that counts."""
        table = self._table(network)
        states = network.read(table, self.recent[chosen])  # (n, d)
        total = states.new_zeros(())
        parts = torch.split(table, self.sizes)
        for interest, rows in _by(self.interest[chosen]):
            history_scores = states[rows] @ parts[interest].T
            total = total + self._nll(chosen[rows], history_scores, self.start[interest])
        if self.share_all and len(self.sizes) > 1:
            total = total + self.share_all * self._nll(chosen, states @ table.T, 0)
        return total

    def _table(self, network: Network) -> Tensor:
        """(V, d) embeddings; in training some items do without what was learned of them."""
        if not (network.training and self.unlearned):
            return network.embedding()
        kept = torch.rand(len(network.learned), 1) >= self.unlearned
        return network.learned * kept + network.vectors @ network.project

    def _nll(self, chosen: Tensor, history_scores: Tensor, first: int) -> Tensor:
        """Of rows whose candidates are the m items from `first` on, by what their histories (n, m) say."""
        moment, size = self.moment[chosen], history_scores.shape[1]
        out = ~self.there[:, first : first + size][moment]
        recent = self.recent[chosen] - first
        rows, places = ((recent >= 0) & (recent < size)).nonzero(as_tuple=True)
        out[rows, recent[rows, places]] = True  # what was engaged lately is not offered
        target = self.following[chosen] - first
        out[torch.arange(len(chosen)), target] = False
        logits = history_scores + self.prior[:, first : first + size][moment]
        return cross_entropy(logits.masked_fill(out, HIDDEN), target, reduction="sum")


def _by(interests: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Each interest among the rows, and which rows these are."""
    order = torch.argsort(interests, stable=True)
    found, counts = torch.unique_consecutive(interests[order], return_counts=True)
    yield from zip(found.tolist(), torch.split(order, counts.tolist()), strict=True)


def tensor(array: NDArray[np.generic]) -> Tensor:
    """The same values, sharing memory where that is possible."""
    return torch.from_numpy(np.ascontiguousarray(array))


def shape(recipe: Recipe, vocabulary: int, recent: int, priors: int) -> Shape:
    """Sizes of a network by its recipe and what it learns from."""
    return Shape(
        vocabulary, recent, priors, recipe.width, recipe.layers, recipe.heads, recipe.inner, recipe.dropout
    )
