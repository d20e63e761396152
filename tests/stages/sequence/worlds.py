"""Sequence models with random weights, and histories to read."""

from __future__ import annotations

import numpy as np

from freshet.core.types import SequenceWeights
from freshet.stages.sequence import SequenceModel


def random_model(
    seed: int = 0, things: int = 7, width: int = 4, layers: int = 2, heads: int = 2, priors: int = 2
) -> SequenceModel:
    """A model that reads up to five recent things."""
    random = np.random.default_rng(seed)

    def array(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32)

    inner = 2 * width
    return SequenceModel(
        SequenceWeights(
            embedding=array(things, width),
            position=array(5, width),
            bias=array(things),
            prior=array(priors),
            attention_norm=array(layers, 2, width),
            attention=array(layers, 3, width, heads, width // heads),
            attended=array(layers, width, width),
            forward_norm=array(layers, 2, width),
            inner=array(layers, width, inner),
            inner_bias=array(layers, inner),
            outer=array(layers, inner, width),
            outer_bias=array(layers, width),
            norm=array(2, width),
        )
    )


def histories(*recent: tuple[int, ...], width: int = 5) -> np.ndarray:
    """(n, width) right-aligned, -1 padded."""
    out = np.full((len(recent), width), -1, np.int16)
    for row, things in zip(out, recent, strict=True):
        if things:
            row[-len(things) :] = things
    return out
