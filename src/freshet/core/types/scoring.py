"""Weights and scores of the mixture, and of the sequence model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Mixture:
    """Weights of the fitted log-linear mixture, with 95 % intervals clustered by user.

    score(s) = sum_f weight_f * log p_f(s); a softmax over the candidates the user doesn't know gives the
    probability. `names` are the features in the order of the weights.
    """

    names: tuple[str, ...]
    weights: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    examples: int
    users: int

    def as_dict(self) -> dict[str, dict[str, float]]:
        return {
            name: {"weight": float(w), "low": float(lo), "high": float(hi)}
            for name, w, lo, hi in zip(self.names, self.weights, self.low, self.high, strict=True)
        }


@dataclass(frozen=True, slots=True)
class Fusion:
    """What counts, sequence model, content and planner are worth beside each other, on held-out transitions.

    Attributes:
        fitted: the planner's weight on top of all else, the sequence model's beside the counts; `examples`
            are those of the planner where there is one. None of the weights was fitted where counts were.
        used: weights of what is used; None = counts alone.
        margin: (value, low, high) change of nats per transition by the planner on top of all else, in folds
            on which nothing was fitted; negative = it helps; 95 % interval clustered by user; None without
            a planner.
        parts: the same change by the mixture of counts and sequence model against each of them alone, and by
            that of all against the planner alone, as far as they are there. Sign: negative = the mixture is
            better.
        content: weights of all content features beside counts and sequence model; None without content.
        content_margin: the change by content on top of counts and sequence model, measured as `margin`.
        without_context: weights of counts and content for users who have items but no recent interest; None =
            counts alone.
    """

    fitted: Mixture
    used: Mixture | None
    margin: tuple[float, float, float] | None
    parts: Mapping[str, tuple[float, float, float]]
    content: Mixture | None = None
    content_margin: tuple[float, float, float] | None = None
    without_context: Mixture | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """Log-probabilities of every interest for n users or contexts, each (n, N), -inf where excluded.

    `planner` and `sequence` are None where there is none (or its weight is not in the mixture); where counts
    are all there is, `fused` equals `count`.
    """

    planner: NDArray[np.float64] | None
    count: NDArray[np.float64]
    fused: NDArray[np.float64]
    sequence: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class SequenceWeights:
    """A trained sequence model: V things, width d, L layers of h heads, feed-forward width f, P priors.

    All float32. `freshet.stages.sequence.SequenceModel` says how they are used.

    Attributes:
        embedding: (V, d) of what was seen, and of what may come next.
        position: (R, d) added by place, the last row for the most recent.
        bias: (V,) added to the logits.
        prior: (P,) weights of the log-probabilities known beforehand, added to the logits.
        attention_norm: (L, 2, d) scale and shift before attention.
        attention: (L, 3, d, h, d / h) queries, keys, values.
        attended: (L, d, d) from the heads back to the stream.
        forward_norm: (L, 2, d) scale and shift before the feed-forward part.
        inner, inner_bias: (L, d, f), (L, f).
        outer, outer_bias: (L, f, d), (L, d).
        norm: (2, d) scale and shift before the logits.
    """

    embedding: NDArray[np.float32]
    position: NDArray[np.float32]
    bias: NDArray[np.float32]
    prior: NDArray[np.float32]
    attention_norm: NDArray[np.float32]
    attention: NDArray[np.float32]
    attended: NDArray[np.float32]
    forward_norm: NDArray[np.float32]
    inner: NDArray[np.float32]
    inner_bias: NDArray[np.float32]
    outer: NDArray[np.float32]
    outer_bias: NDArray[np.float32]
    norm: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RankingWeights:
    """A trained ranker of V items: how histories are read, and what makes an item's embedding.

    Attributes:
        sequence: of the network; its bias is zero, and it has no prior.
        project, offset: (a, d) and (d,); the embedding of an item that was not learned from is
            vector (a,) @ project + offset.
    """

    sequence: SequenceWeights
    project: NDArray[np.float32]
    offset: NDArray[np.float32]
