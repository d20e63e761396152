"""A sequence model on disk: one `.npy` file per array, never a pickle."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from freshet.core.types import SequenceWeights
from freshet.stages.sequence.sasrec import SequenceModel
from freshet.storage.sound_reading import sound


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
    for name, array in arrays.items():
        if array.dtype.kind != "f" or not array.dtype.isnative:  # compiled functions take nothing else
            raise ValueError(f"{name} is of {array.dtype}")
    return SequenceModel(SequenceWeights(**arrays))
