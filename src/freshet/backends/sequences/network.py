"""The sequence model in torch: as `SequenceModel` is, with gradients and dropout."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from freshet.core.types import SequenceWeights

START = 0.05
"""Standard deviation of random first weights of embeddings and positions."""

HIDDEN = -1e9

RIDGE = 1e-3
"""Of the projection that embeddings are taken apart by, per thing."""

BODY = (
    "position",
    "bias",
    "prior",
    "attention_norm",
    "attention",
    "attended",
    "forward_norm",
    "inner",
    "inner_bias",
    "outer",
    "outer_bias",
    "norm",
)
"""Weights that are frozen as they are."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a network: things, recent ones read, priors, width, layers, heads, feed-forward width."""

    vocabulary: int
    recent: int
    priors: int
    width: int
    layers: int
    heads: int
    inner: int
    dropout: float


class Network(nn.Module):
    """Embeddings are learned parts plus projected `vectors` (V, a) of what is known beforehand.

    Args:
        random: what is dropped out in training; None = nothing is.
    """

    vectors: Tensor

    def __init__(
        self, shape: Shape, vectors: NDArray[np.float32], random: np.random.Generator | None = None
    ) -> None:
        super().__init__()
        self.shape, self._random = shape, random
        width, layers, heads = shape.width, shape.layers, shape.heads

        def start(*sizes: int, scale: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(*sizes) * scale)

        self.register_buffer("vectors", torch.from_numpy(_standardised(vectors)))
        self.learned = start(shape.vocabulary, width, scale=START)
        self.project = start(vectors.shape[1], width, scale=START)
        self.position = start(shape.recent, width, scale=START)
        self.bias = nn.Parameter(torch.zeros(shape.vocabulary))
        self.prior = nn.Parameter(torch.full((shape.priors,), 1 / max(shape.priors, 1)))
        fan = 1 / math.sqrt(width)
        plain = torch.stack([torch.ones(width), torch.zeros(width)])
        self.attention_norm = nn.Parameter(plain.repeat(layers, 1, 1))
        self.attention = start(layers, 3, width, heads, width // heads, scale=fan)
        self.attended = start(layers, width, width, scale=fan)
        self.forward_norm = nn.Parameter(plain.repeat(layers, 1, 1))
        self.inner = start(layers, width, shape.inner, scale=fan)
        self.inner_bias = nn.Parameter(torch.zeros(layers, shape.inner))
        self.outer = start(layers, shape.inner, width, scale=1 / math.sqrt(shape.inner))
        self.outer_bias = nn.Parameter(torch.zeros(layers, width))
        self.norm = nn.Parameter(plain.clone())

    def embedding(self) -> Tensor:
        """(V, d) as the frozen model holds them."""
        return self.learned + self.vectors @ self.project

    def forward(self, recent: Tensor, prior: Tensor, moment: Tensor) -> Tensor:
        """(n, V) logits for (n, r) recent, right-aligned, -1 padded, none empty.

        Args:
            prior: (g, P, V) log-probabilities known beforehand, at g moments.
            moment: (n,) which of them a row belongs to.
        """
        table = self.embedding()
        beforehand = torch.einsum("gpv,p->gv", prior, self.prior) + self.bias
        return torch.addmm(beforehand.index_select(0, moment), self.read(table, recent), table.T)

    def read(self, table: Tensor, recent: Tensor) -> Tensor:
        """(n, d) states of (n, r) recent, by the (V, d) embeddings.

        The stream holds what is there alone, (t, d): histories are short, padding would be most of it.
        """
        there = recent >= 0
        rows, columns = there.nonzero(as_tuple=True)
        ends = there.sum(1).cumsum(0) - 1  # where the last position of each row lies
        read = table.index_select(0, recent[there]) + self.position[-recent.shape[1] :].index_select(
            0, columns
        )
        stream = self._dropped(read)
        for layer in range(self.shape.layers):
            last = layer == self.shape.layers - 1  # of which only the last position is read
            normed = _norm(stream, self.attention_norm[layer])
            if last:
                stream = stream.index_select(0, ends)
                attended = self._attend_from_last(layer, normed, rows, columns, ends)
            else:
                padded = normed.new_zeros(*there.shape, normed.shape[1]).index_put((rows, columns), normed)
                attended = self._attend(layer, padded, there)[there]
            stream = stream + self._dropped(attended)
            normed = _norm(stream, self.forward_norm[layer])
            inner = torch.addmm(self.inner_bias[layer], normed, self.inner[layer])
            outer = torch.addmm(self.outer_bias[layer], self._dropped(inner.relu()), self.outer[layer])
            stream = stream + self._dropped(outer)
        return _norm(stream, self.norm)

    def _attend(self, layer: int, normed: Tensor, there: Tensor) -> Tensor:
        """(n, r, d) what each position takes from itself and those before it."""
        query, key, value = (self._heads(normed, layer, part) for part in range(3))  # (n, h, r, d / h)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        length = normed.shape[1]
        seen = torch.ones(length, length, dtype=torch.bool).tril() & there[:, None]
        shares = scores.masked_fill(~seen[:, None], HIDDEN).softmax(-1)
        mixed = (shares @ value).transpose(1, 2)
        return mixed.reshape(len(normed), length, -1) @ self.attended[layer]

    def _attend_from_last(
        self, layer: int, normed: Tensor, rows: Tensor, columns: Tensor, ends: Tensor
    ) -> Tensor:
        """(n, d) what the last position of each row, of (t, d) in all, takes from the row.

        Queries with keys, and values with the way back to the stream, are one matrix each here: with one
        position that asks, keys and values of all others would be most of the work.
        """
        width, heads, size = self.attention[layer, 0].shape
        query, key, value = (part.transpose(0, 1) for part in self.attention[layer])  # (h, d, d / h)
        asking = (query @ key.transpose(1, 2)) / math.sqrt(size)  # (h, d, d)
        giving = value @ self.attended[layer].view(heads, size, width)  # (h, d, d)
        asked = normed.index_select(0, ends) @ asking.transpose(0, 1).reshape(width, -1)  # (n, h * d)
        given = normed[:, None]  # (t, 1, d)
        scores = (asked.view(-1, heads, width).index_select(0, rows) * given).sum(-1)  # (t, h)
        padded = scores.new_full((len(ends), int(columns.max()) + 1, heads), HIDDEN)
        shares = padded.index_put((rows, columns), scores).softmax(1)[rows, columns]  # (t, h)
        mixed = normed.new_zeros(len(ends), heads, width).index_add(0, rows, shares[..., None] * given)
        attended: Tensor = mixed.view(len(ends), -1) @ giving.reshape(-1, width)
        return attended

    def _heads(self, normed: Tensor, layer: int, part: int) -> Tensor:
        """(n, h, r, d / h) queries (part 0), keys (1) or values (2)."""
        weights = self.attention[layer, part]  # (d, h, d / h)
        return (normed @ weights.flatten(1)).reshape(*normed.shape[:2], *weights.shape[1:]).transpose(1, 2)

    def _dropped(self, stream: Tensor) -> Tensor:
        """With a share of it set to zero in training, to a 256th; what is left grows accordingly."""
        dropped = round(256 * self.shape.dropout)
        if not (self.training and dropped and self._random):
            return stream
        count = stream.numel()
        words = self._random.integers(0, 2**64, -(-count // 8), np.uint64)  # torch draws one by one, slowly
        kept = torch.from_numpy(words.view(np.uint8)[:count]) >= dropped
        return stream * (kept.view(stream.shape) * (256 / (256 - dropped)))

    def spared(self, share: float, count: int) -> Tensor:
        """(count, 1) which of so many things are kept in training; all where nothing is drawn."""
        if self._random is None:
            return torch.ones(count, 1, dtype=torch.bool)
        return torch.from_numpy(self._random.random((count, 1), np.float32)) >= share

    @torch.no_grad()
    def calm(self, scale: float) -> None:
        """Let histories say less at first."""
        self.norm[0].mul_(scale)
        self.project.mul_(scale)

    @torch.no_grad()
    def begin_at(self, weights: SequenceWeights) -> None:
        """Take up frozen weights of a network of the same things and sizes.

        What was projected is not in them: the projection is the one that comes closest to the embeddings, and
        what is left of these is what was learned.
        """
        for name in BODY:
            getattr(self, name).copy_(torch.from_numpy(getattr(weights, name)))
        embedding, vectors = torch.from_numpy(weights.embedding), self.vectors.double()
        ridge = RIDGE * len(vectors) * torch.eye(vectors.shape[1], dtype=torch.float64)
        self.project.copy_(torch.linalg.solve(vectors.T @ vectors + ridge, vectors.T @ embedding.double()))
        self.learned.copy_(embedding - self.vectors @ self.project)

    def frozen(self) -> SequenceWeights:
        """The weights as arrays."""

        def array(tensor: Tensor) -> NDArray[np.float32]:
            return np.asarray(tensor.detach().numpy().copy(), np.float32)

        return SequenceWeights(
            embedding=array(self.embedding()),
            position=array(self.position),
            bias=array(self.bias),
            prior=array(self.prior),
            attention_norm=array(self.attention_norm),
            attention=array(self.attention),
            attended=array(self.attended),
            forward_norm=array(self.forward_norm),
            inner=array(self.inner),
            inner_bias=array(self.inner_bias),
            outer=array(self.outer),
            outer_bias=array(self.outer_bias),
            norm=array(self.norm),
        )


def outside(
    network: Network, vectors: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """((a, d), (d,)) that make embeddings of vectors like the (V, a) the network was made with."""
    project = network.project.detach().numpy()
    centre, scale = _spread(vectors)
    return np.asarray(project / scale, np.float32), np.asarray(-(centre / scale) @ project, np.float32)


def _norm(stream: Tensor, scale_and_shift: Tensor) -> Tensor:
    return layer_norm(stream, stream.shape[-1:], scale_and_shift[0], scale_and_shift[1])


def _standardised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centred, of unit variance on the whole."""
    centre, scale = _spread(vectors)
    return np.asarray((vectors - centre) / scale, np.float32)


def _spread(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """(a,) mean, and standard deviation of all that is left of the (V, a) vectors."""
    centre = vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1], np.float32)
    return centre, max(float((vectors - centre).std()) if vectors.size else 1.0, 1e-12)
