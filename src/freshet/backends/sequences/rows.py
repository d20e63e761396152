"""What sequence models and rankers learn from, as tensors."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from freshet.backends.sequences.item_choice import Choices
from freshet.backends.sequences.network import HIDDEN, Network, Shape
from freshet.backends.sequences.recipes import Recipe
from freshet.core.ports import RankingJob, Sequences

TOGETHER = 32
"""Rows of one interest that are learned from together: they share its items."""


class TrainingRows(Protocol):
    """Rows that a network learns from.

    Attributes:
        user: (n,) whose they are.
        recent: (n, R) numbers of recent things, -1 padded.
    """

    user: NDArray[np.integer]
    recent: Tensor

    def __len__(self) -> int: ...

    def shape(self, recipe: Recipe) -> Shape:
        """Of the network that learns from them."""

    def order(self, random: torch.Generator) -> Tensor:
        """(n,) the order of one epoch."""

    def loss(self, network: Network, chosen: Tensor) -> Tensor:
        """Sum of the chosen rows' nll."""

    def losses(self, network: Network, chosen: Tensor) -> Tensor:
        """(n,) the chosen rows' nll, without gradients."""


class Rows:
    """Training sequences as torch tensors, one row per sequence."""

    def __init__(self, sequences: Sequences) -> None:
        self.user: NDArray[np.integer] = sequences.user
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
        """Sum of the chosen rows' nll; what is known is never a candidate."""
        return cross_entropy(self._offered(network, chosen), self.following[chosen], reduction="sum")

    @torch.no_grad()
    def losses(self, network: Network, chosen: Tensor) -> Tensor:
        """(n,) the chosen rows' nll."""
        return cross_entropy(self._offered(network, chosen), self.following[chosen], reduction="none")

    def _offered(self, network: Network, chosen: Tensor) -> Tensor:
        """(n, V) logits of what could come next."""
        moments, moment = torch.unique(self.moment[chosen], return_inverse=True)
        logits: Tensor = network(self.recent[chosen], self.prior[moments], moment)
        return logits.masked_fill(self.known[chosen], HIDDEN)


class ItemRows:
    """A job as tensors.

    Args:
        share_all: weight of the loss over all items, beside that over the items of the interest.
        unlearned: share of the items that do without what was learned of them at a step, as new ones must.
    """

    def __init__(self, job: RankingJob, share_all: float, unlearned: float) -> None:
        interest = np.repeat(np.arange(len(job.start) - 1), np.diff(job.start))
        self.user: NDArray[np.integer] = job.user
        self.recent = tensor(job.recent.astype(np.int64))
        self.following = tensor(job.following.astype(np.int64))
        self.interest = tensor(interest[job.following])
        self.moment = tensor(job.moment)
        self.prior = tensor(job.prior).masked_fill(~tensor(job.there), HIDDEN)
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
        table, recent = self._table(network), self.recent[chosen]
        return self._choices(chosen).loss(network.read(table, recent), table)

    @torch.no_grad()
    def losses(self, network: Network, chosen: Tensor) -> Tensor:
        """(n,) the chosen rows' nll, of which `loss` is the sum."""
        table, recent = network.embedding(), self.recent[chosen]
        return self._choices(chosen).losses(network.read(table, recent), table)

    def _choices(self, chosen: Tensor) -> Choices:
        return Choices(
            self.recent[chosen],
            self.following[chosen],
            self.moment[chosen],
            self.prior,
            self.start,
            self.interest[chosen],
            self.share_all,
        )

    def _table(self, network: Network) -> Tensor:
        """(V, d) embeddings; in training some items do without what was learned of them."""
        if not (network.training and self.unlearned):
            return network.embedding()
        kept = network.spared(self.unlearned, len(network.learned))
        return network.learned * kept + network.vectors @ network.project


def tensor(array: NDArray[np.generic]) -> Tensor:
    """The same values, sharing memory where that is possible."""
    return torch.from_numpy(np.ascontiguousarray(array))


def shape(recipe: Recipe, vocabulary: int, recent: int, priors: int) -> Shape:
    """Sizes of a network by its recipe and what it learns from."""
    return Shape(
        vocabulary, recent, priors, recipe.width, recipe.layers, recipe.heads, recipe.inner, recipe.dropout
    )
