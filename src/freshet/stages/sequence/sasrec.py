"""A frozen SASRec-style model (Kang and McAuley 2018): causal self-attention, read at the last position.

Only the order of a user's recent things is known, not when they came, so positions count from the end: the
last one is always at the same place, however long the history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import BoolArray, FloatArray, IntArray, SequenceWeights
from freshet.stages.sequence import single_user as alone

HIDDEN = np.float32(-1e9)
"""Attention score of what a position may not look at; finite, so that padding gives no NaN."""

EPSILON = np.float32(1e-5)
"""Added to a variance before it divides, as torch's layer norm does."""

BLOCK = 256
"""Users worked on at a time: what they need stays in the cache."""


@dataclass(frozen=True)
class SequenceModel:
    """The forward pass of trained weights."""

    weights: SequenceWeights

    @property
    def vocabulary(self) -> int:
        """V, the number of interests or items it scores."""
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
        if len(recent) == 1:
            return self.state_of(recent[0][recent[0] >= 0])[None]
        longest = int((recent >= 0).any(axis=0).sum())
        if longest == 0:
            return np.zeros((len(recent), self.weights.embedding.shape[1]), np.float32)
        recent = recent[:, -min(longest, len(self.weights.position)) :]
        blocks = range(0, len(recent), BLOCK)
        out = np.concatenate([self._read(recent[start : start + BLOCK]) for start in blocks])
        out[recent[:, -1] < 0] = 0.0
        return out

    def state_of(self, recent: IntArray) -> NDArray[np.float32]:
        """(d,) the state of one user, compiled; the row of `states` up to rounding.

        Args:
            recent: (r,) numbers of recent things, most recent last, without padding; may be empty or long.
        """
        return np.asarray(alone.state(np.asarray(recent, np.int64), *self._compiled))

    def reader(self, prior: FloatArray) -> Callable[[IntArray], NDArray[np.float32]]:
        """`logits` for one user at a time with a prior (P, V) that stays: (r,) recent, -1 padded, to (V,)."""
        beforehand = self.logits(np.full((1, 1), -1), prior)[0]
        weights = self._compiled
        return lambda recent: np.asarray(alone.logits(recent, beforehand, *weights))

    def _read(self, recent: IntArray) -> NDArray[np.float32]:
        """(n, d) the stream at the last position, normed, for (n, r) recent."""
        weights, length = self.weights, recent.shape[1]
        stream = weights.embedding[recent] + weights.position[-length:]
        for layer in range(len(weights.inner)):
            last = layer == len(weights.inner) - 1  # nothing is read from the other positions any more
            stream = self._attend(layer, stream, recent < 0, 1 if last else length)
            normed = _norm(stream, weights.forward_norm[layer])
            inner = np.maximum(normed @ weights.inner[layer] + weights.inner_bias[layer], 0)
            stream = stream + inner @ weights.outer[layer] + weights.outer_bias[layer]
        return _norm(stream[:, -1], weights.norm)

    def _attend(
        self, layer: int, stream: NDArray[np.float32], empty: BoolArray, positions: int
    ) -> NDArray[np.float32]:
        """The stream of the last `positions` positions after attention to those before them."""
        n, length, width = stream.shape
        asking, giving = self._folded[layer]  # (d, h * d), (h * d, d)
        normed = _norm(stream, self.weights.attention_norm[layer])
        query = (normed[:, -positions:] @ asking).reshape(n, -1, width)  # (n, asked * h, d)
        scores = (query @ np.swapaxes(normed, 1, 2)).reshape(n, positions, -1, length)
        unseen = empty[:, None, :]  # (n, asked, r)
        if positions > 1:
            unseen = unseen | ~np.tri(length, dtype=bool)[-positions:]
        shares = _softmax(np.where(unseen[:, :, None], HIDDEN, scores))
        mixed = shares.reshape(n, -1, length) @ normed  # (n, asked * h, d)
        return np.asarray(stream[:, -positions:] + mixed.reshape(n, positions, -1) @ giving)

    @cached_property
    def _compiled(self) -> tuple[NDArray[np.float32], ...]:
        """The arrays that `single_user.state` reads, in its order, each contiguous in memory."""
        weights = self.weights
        asking = np.stack([asking for asking, _ in self._folded])
        giving = np.stack([giving for _, giving in self._folded])
        return (
            np.ascontiguousarray(weights.embedding),
            np.ascontiguousarray(weights.position),
            np.ascontiguousarray(weights.attention_norm),
            asking,
            giving,
            np.ascontiguousarray(weights.forward_norm),
            np.ascontiguousarray(weights.inner),
            np.ascontiguousarray(weights.inner_bias),
            np.ascontiguousarray(weights.outer),
            np.ascontiguousarray(weights.outer_bias),
            np.ascontiguousarray(weights.norm),
        )

    @cached_property
    def _folded(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Per layer, queries with keys and values with the way back to the stream, as one matrix each.

        Few positions ask and few are there, so that keys and values of each would be the greater part of the
        work.
        """
        found = []
        for (query, key, value), attended in zip(self.weights.attention, self.weights.attended, strict=True):
            width, heads, size = query.shape
            asking = np.einsum("ahe,bhe->ahb", query, key, dtype=np.float64) / size**0.5
            back = attended.reshape(heads, size, width)
            giving = np.einsum("ahe,heb->hab", value, back, dtype=np.float64)
            found.append(
                (
                    asking.reshape(width, -1).astype(np.float32),
                    giving.reshape(-1, width).astype(np.float32),
                )
            )
        return found


def _norm(stream: NDArray[np.float32], scale_and_shift: NDArray[np.float32]) -> NDArray[np.float32]:
    """Layer norm over the last axis."""
    size = np.float32(stream.shape[-1])
    centred = stream - np.add.reduce(stream, axis=-1, keepdims=True) / size
    variance = np.add.reduce(centred * centred, axis=-1, keepdims=True) / size
    scale, shift = scale_and_shift
    return np.asarray(centred * (scale / np.sqrt(variance + EPSILON)) + shift)


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    weights = np.exp(scores - np.maximum.reduce(scores, axis=-1, keepdims=True))
    return np.asarray(weights / np.add.reduce(weights, axis=-1, keepdims=True))
