"""A frozen SASRec-style model (Kang and McAuley 2018): causal self-attention, read at the last position.

Only the order of a user's recent things is known, not when they came, so positions count from the end: the
last one is always at the same place, however long the history.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.types import FloatArray, IntArray, SequenceWeights

HIDDEN = np.float32(-1e9)
"""Attention score of what a position may not look at; finite, so that padding gives no NaN."""

EPSILON = np.float32(1e-5)
"""Added to a variance before it divides, as torch's layer norm does."""

BLOCK = 2048
"""Users worked on at a time; bounds memory."""


@dataclass(frozen=True)
class SequenceModel:
    """The forward pass of trained weights."""

    weights: SequenceWeights

    @property
    def vocabulary(self) -> int:
        """V."""
        return len(self.weights.embedding)

    def logits(self, recent: IntArray, prior: FloatArray) -> NDArray[np.float32]:
        """(n, V) scores of what comes next; prior and bias alone for a user with nothing recent.

        Args:
            recent: (n, up to R) numbers of recent things, most recent last, right-aligned, -1 padded.
            prior: (P, V) log-probabilities known beforehand, of the kinds the model was trained with.
        """
        beforehand = self.weights.bias + self.weights.prior @ prior.astype(np.float32)
        return np.asarray(self.states(recent) @ self.weights.embedding.T + beforehand)

    def states(self, recent: IntArray) -> NDArray[np.float32]:
        """(n, d) what the model makes of each history; its dot products with the embeddings are the scores.

        Where V is large, score only the candidates: `states(recent) @ weights.embedding[candidates].T`.
        """
        longest = int((recent >= 0).any(axis=0).sum())
        if longest == 0:
            return np.zeros((len(recent), self.weights.embedding.shape[1]), np.float32)
        recent = recent[:, -min(longest, len(self.weights.position)) :]
        blocks = range(0, len(recent), BLOCK)
        out = np.concatenate([self._read(recent[start : start + BLOCK]) for start in blocks])
        out[recent[:, -1] < 0] = 0.0
        return out

    def _read(self, recent: IntArray) -> NDArray[np.float32]:
        """(n, d) the stream at the last position, normed, for (n, r) recent."""
        weights, length = self.weights, recent.shape[1]
        stream = weights.embedding[recent] + weights.position[-length:]
        for layer in range(len(weights.inner)):
            last = layer == len(weights.inner) - 1  # nothing is read from the other positions any more
            stream = self._attend(layer, stream, recent >= 0, 1 if last else length)
            normed = _norm(stream, weights.forward_norm[layer])
            inner = np.maximum(normed @ weights.inner[layer] + weights.inner_bias[layer], 0)
            stream = stream + inner @ weights.outer[layer] + weights.outer_bias[layer]
        return _norm(stream[:, -1], weights.norm)

    def _attend(
        self, layer: int, stream: NDArray[np.float32], there: NDArray[np.bool_], asked: int
    ) -> NDArray[np.float32]:
        """The stream of the last `asked` positions after attention to those before them."""
        normed = _norm(stream, self.weights.attention_norm[layer])
        query = self._heads(normed[:, -asked:], layer, 0)  # (n, h, asked, d / h)
        key, value = self._heads(normed, layer, 1), self._heads(normed, layer, 2)  # (n, h, r, d / h)
        scores = query @ np.swapaxes(key, -1, -2) / np.float32(query.shape[-1] ** 0.5)
        seen = np.tri(stream.shape[1], dtype=bool)[-asked:] & there[:, None, :]  # (n, asked, r)
        mixed = _softmax(np.where(seen[:, None], scores, HIDDEN)) @ value
        joined = np.swapaxes(mixed, 1, 2).reshape(len(stream), asked, -1)
        return np.asarray(stream[:, -asked:] + joined @ self.weights.attended[layer])

    def _heads(self, normed: NDArray[np.float32], layer: int, part: int) -> NDArray[np.float32]:
        """(n, h, r, d / h) queries (part 0), keys (1) or values (2)."""
        weights = self.weights.attention[layer, part]  # (d, h, d / h)
        flat = normed @ weights.reshape(len(weights), -1)
        return np.swapaxes(flat.reshape(*normed.shape[:2], *weights.shape[1:]), 1, 2)


def _norm(stream: NDArray[np.float32], scale_and_shift: NDArray[np.float32]) -> NDArray[np.float32]:
    """Layer norm over the last axis."""
    centred = stream - stream.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + EPSILON) * scale_and_shift[0] + scale_and_shift[1])


def _softmax(scores: FloatArray) -> FloatArray:
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))
