"""The sequence model in torch: as `SequenceModel` is, with gradients and dropout."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import dropout, layer_norm

from freshet.core.types import SequenceWeights

START = 0.05
"""Standard deviation of random first weights of embeddings and positions."""

HIDDEN = -1e9


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
    """Embeddings are learned parts plus projected `vectors` (V, a) of what is known beforehand."""

    vectors: Tensor

    def __init__(self, shape: Shape, vectors: NDArray[np.float32]) -> None:
        super().__init__()
        self.shape = shape
        width, layers, heads = shape.width, shape.layers, shape.heads

        def random(*sizes: int, scale: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(*sizes) * scale)

        self.register_buffer("vectors", torch.from_numpy(_standardised(vectors)))
        self.learned = random(shape.vocabulary, width, scale=START)
        self.project = random(vectors.shape[1], width, scale=START)
        self.position = random(shape.recent, width, scale=START)
        self.bias = nn.Parameter(torch.zeros(shape.vocabulary))
        self.prior = nn.Parameter(torch.full((shape.priors,), 1 / max(shape.priors, 1)))
        fan = 1 / math.sqrt(width)
        plain = torch.stack([torch.ones(width), torch.zeros(width)])
        self.attention_norm = nn.Parameter(plain.repeat(layers, 1, 1))
        self.attention = random(layers, 3, width, heads, width // heads, scale=fan)
        self.attended = random(layers, width, width, scale=fan)
        self.forward_norm = nn.Parameter(plain.repeat(layers, 1, 1))
        self.inner = random(layers, width, shape.inner, scale=fan)
        self.inner_bias = nn.Parameter(torch.zeros(layers, shape.inner))
        self.outer = random(layers, shape.inner, width, scale=1 / math.sqrt(shape.inner))
        self.outer_bias = nn.Parameter(torch.zeros(layers, width))
        self.norm = nn.Parameter(plain.clone())

    def embedding(self) -> Tensor:
        """(V, d) as the frozen model holds them."""
        return self.learned + self.vectors @ self.project

    def forward(self, recent: Tensor, prior: Tensor) -> Tensor:
        """(n, V) logits for (n, r) recent, right-aligned, -1 padded, none empty.

        Args:
            prior: (n, P, V) log-probabilities known beforehand.
        """
        table = self.embedding()
        beforehand = torch.einsum("npv,p->nv", prior, self.prior) + self.bias
        return self.read(table, recent) @ table.T + beforehand

    def read(self, table: Tensor, recent: Tensor) -> Tensor:
        """(n, d) states of (n, r) recent, by the (V, d) embeddings."""
        length, there = recent.shape[1], recent >= 0
        stream = self._dropped(table[recent.clamp(min=0)] + self.position[-length:])
        for layer in range(self.shape.layers):
            queried = 1 if layer == self.shape.layers - 1 else length
            stream = stream[:, -queried:] + self._dropped(self._attend(layer, stream, there, queried))
            inner = _norm(stream, self.forward_norm[layer]) @ self.inner[layer] + self.inner_bias[layer]
            outer = self._dropped(inner.relu()) @ self.outer[layer] + self.outer_bias[layer]
            stream = stream + self._dropped(outer)
        return _norm(stream[:, -1], self.norm)

    def _attend(self, layer: int, stream: Tensor, there: Tensor, queried: int) -> Tensor:
        """(n, queried, d) what the last `queried` positions take from those before them."""
        normed = _norm(stream, self.attention_norm[layer])
        query = self._heads(normed[:, -queried:], layer, 0)  # (n, h, queried, d / h)
        key, value = self._heads(normed, layer, 1), self._heads(normed, layer, 2)  # (n, h, r, d / h)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        length = stream.shape[1]
        seen = torch.ones(length, length, dtype=torch.bool).tril()[-queried:] & there[:, None]
        shares = scores.masked_fill(~seen[:, None], HIDDEN).softmax(-1)
        mixed = (shares @ value).transpose(1, 2)
        return mixed.reshape(len(stream), queried, -1) @ self.attended[layer]

    def _heads(self, normed: Tensor, layer: int, part: int) -> Tensor:
        """(n, h, r, d / h) queries (part 0), keys (1) or values (2)."""
        weights = self.attention[layer, part]  # (d, h, d / h)
        return (normed @ weights.flatten(1)).reshape(*normed.shape[:2], *weights.shape[1:]).transpose(1, 2)

    def _dropped(self, stream: Tensor) -> Tensor:
        return dropout(stream, self.shape.dropout, self.training)

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
