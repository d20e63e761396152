"""A sequence model on disk: one `.npy` file per array, never a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import SequenceWeights
from freshet.stages.sequence.sasrec import SequenceModel
from freshet.storage.sound_reading import sound

SHAPES = {
    "embedding": "Vd",
    "position": "Rd",
    "bias": "B",
    "prior": "P",
    "attention_norm": "L2d",
    "attention": "L3dhe",
    "attended": "Ldd",
    "forward_norm": "L2d",
    "inner": "Ldf",
    "inner_bias": "Lf",
    "outer": "Lfd",
    "outer_bias": "Ld",
    "norm": "2d",
}
"""Axes of every array: a letter has one size everywhere, a digit is the size."""


def write(model: SequenceModel, folder: Path) -> None:
    """Write the model into a new folder."""
    folder.mkdir(parents=True)
    for field in fields(model.weights):
        np.save(folder / f"{field.name}.npy", getattr(model.weights, field.name), allow_pickle=False)


@sound
def read(folder: Path) -> SequenceModel:
    """Read what `write` wrote."""
    names = [field.name for field in fields(SequenceWeights)]
    arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in names}
    _check(arrays)
    return SequenceModel(SequenceWeights(**arrays))


def _check(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raises ValueError where arrays don't go together: compiled functions read on behind their end."""
    sizes: dict[str, int] = {}
    for name, array in arrays.items():
        if array.dtype.kind != "f" or not array.dtype.isnative:
            raise ValueError(f"{name} is of {array.dtype}")
        axes = SHAPES[name]
        fits = array.ndim == len(axes) and all(
            size == (int(axis) if axis.isdigit() else sizes.setdefault(axis, size))
            for axis, size in zip(axes, array.shape, strict=True)
        )
        if not fits:
            raise ValueError(f"{name} has the shape {array.shape}")
    if sizes["h"] * sizes["e"] != sizes["d"]:
        raise ValueError(f"attention has the shape {arrays['attention'].shape}")
