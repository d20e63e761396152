"""What a ranker learns from, as tensors: the right item among those of its interest, and among all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from freshet.backends.sequences.network import HIDDEN, Network, Shape
from freshet.backends.sequences.training import shape, tensor
from freshet.core.ports import RankingJob

if TYPE_CHECKING:
    from freshet.backends.sequences.torch_trainer import Recipe

TOGETHER = 32
"""Rows of one interest that are learned from together: they share its items."""


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
        """Nats of the chosen rows, added up: within interests, and over all items as far as that counts."""
        table = self._table(network)
        states = network.read(table, self.recent[chosen])  # (n, d)
        total = states.new_zeros(())
        parts = torch.split(table, self.sizes)
        for interest, rows in _by(self.interest[chosen]):
            said = states[rows] @ parts[interest].T
            total = total + self._nats(chosen[rows], said, self.start[interest])
        if self.share_all and len(self.sizes) > 1:
            total = total + self.share_all * self._nats(chosen, states @ table.T, 0)
        return total

    def _table(self, network: Network) -> Tensor:
        """(V, d) embeddings; in training some items do without what was learned of them."""
        if not (network.training and self.unlearned):
            return network.embedding()
        kept = torch.rand(len(network.learned), 1) >= self.unlearned
        return network.learned * kept + network.vectors @ network.project

    def _nats(self, chosen: Tensor, said: Tensor, first: int) -> Tensor:
        """Of rows whose candidates are the m items from `first` on, by what their histories (n, m) say."""
        moment, size = self.moment[chosen], said.shape[1]
        out = ~self.there[:, first : first + size][moment]
        recent = self.recent[chosen] - first
        rows, places = ((recent >= 0) & (recent < size)).nonzero(as_tuple=True)
        out[rows, recent[rows, places]] = True  # what was engaged lately is not offered
        target = self.following[chosen] - first
        out[torch.arange(len(chosen)), target] = False
        logits = said + self.prior[:, first : first + size][moment]
        return cross_entropy(logits.masked_fill(out, HIDDEN), target, reduction="sum")


def _by(interests: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Each interest among the rows, and which rows these are."""
    order = torch.argsort(interests, stable=True)
    found, counts = torch.unique_consecutive(interests[order], return_counts=True)
    yield from zip(found.tolist(), torch.split(order, counts.tolist()), strict=True)
