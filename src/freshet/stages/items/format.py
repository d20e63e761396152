"""How a ranker is kept: its items as Parquet and `.npy`, the model of histories in a folder beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.errors import ArtifactError
from freshet.core.types import RankingWeights
from freshet.stages.items.item_index import ItemIndex
from freshet.stages.items.ranker import Ranker
from freshet.stages.sequence import SequenceModel
from freshet.stages.sequence import read as read_sequence
from freshet.stages.sequence import write as write_sequence
from freshet.storage.artifacts import Artifact
from freshet.storage.durable import write_json
from freshet.storage.sound_reading import OTHERWISE, sound

NAMES = "items.parquet"
MODEL, ITEMS = "model", "items"
"""Folders in the artifact."""
_ARRAYS = [field.name for field in fields(ItemIndex) if field.name not in ("ids", "titles")]


def write(item_index: ItemIndex, folder: Path) -> None:
    """Write into a new folder: names as Parquet, each array as `.npy`."""
    folder.mkdir(parents=True)
    table = pa.table(
        {"id": pa.array(item_index.ids, pa.string()), "title": pa.array(item_index.titles, pa.string())}
    )
    pq.write_table(table, folder / NAMES, compression="zstd")
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(item_index, name), allow_pickle=False)


@sound
def read(folder: Path) -> ItemIndex:
    """Read what `write` wrote.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    try:
        table = pq.read_table(folder / NAMES)
        arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in _ARRAYS}
        ids, titles = (tuple(table.column(name).to_pylist()) for name in ("id", "title"))
    except OTHERWISE as error:
        raise ArtifactError(
            f"items of the ranker {folder} are missing or damaged: {error}",
            hint="`freshet ranker` makes a new one",
        ) from None
    found = ItemIndex(ids, titles, **arrays)
    _check(found)
    return found


def _check(found: ItemIndex) -> None:
    """Raises ValueError where the parts don't go together."""
    items, interests, start = len(found.ids), len(found.start) - 1, found.start
    if start.dtype.kind != "i" or start[0] != 0 or start[-1] != items or (np.diff(start) < 0).any():
        raise ValueError("start does not divide the items")
    if any(array.shape != (items,) for array in (found.prior, found.popular, found.engaged)):
        raise ValueError(f"arrays of another number than {items} items")
    if {found.prior.dtype.kind, found.popular.dtype.kind} != {"f"} or found.engaged.dtype != np.bool_:
        raise ValueError("arrays of other types")
    others = found.nearest
    if others.shape != (interests, max(0, interests - 1)) or others.dtype.kind != "i":
        raise ValueError(f"nearest has the shape {others.shape}")
    if others.size and not 0 <= others.min() <= others.max() < interests:
        raise ValueError("nearest names interests that are not there")


def write_model(
    weights: RankingWeights,
    mixed: Mapping[str, Any],
    ids: Sequence[str],
    learned: NDArray[np.bool_],
    folder: Path,
) -> None:
    """Write an item model: the network, how unknown items are projected, and which items it learned from.

    Args:
        mixed: what popularity, newness and histories weigh beside each other.
        ids: (V,) items; `learned` says which of them the network has an embedding of its own for.
    """
    write_sequence(SequenceModel(weights.sequence), folder / MODEL)
    np.save(folder / "project.npy", weights.project)
    np.save(folder / "offset.npy", weights.offset)
    write_json(folder / "weights.json", mixed)
    numbers = np.flatnonzero(learned).tolist()
    items = pa.array([ids[number] for number in numbers], pa.string())
    pq.write_table(
        pa.table({"item": items, "number": pa.array(numbers, pa.int32())}), folder / "learned.parquet"
    )


@sound
def open_ranker(made: Artifact) -> Ranker:
    """The ranker of an artifact `rankers/<version>`; numpy alone is needed.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    item_index = read(made.path / ITEMS)
    if not (made.path / MODEL).exists():
        return Ranker(item_index, np.zeros((len(item_index), 0), np.float32), None)
    model = read_sequence(made.path / MODEL)
    return Ranker(item_index, model.weights.embedding, model.state_of)
