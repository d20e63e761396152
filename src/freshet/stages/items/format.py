"""How a ranker is kept: its items as Parquet and `.npy`, the model of histories in a folder beside them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freshet.core.errors import ArtifactError
from freshet.core.ports import Artifact
from freshet.stages.items.item_index import ItemIndex
from freshet.stages.items.ranker import Ranker
from freshet.stages.sequence import read as read_sequence

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


def read(folder: Path) -> ItemIndex:
    """Read what `write` wrote.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    try:
        table = pq.read_table(folder / NAMES)
        arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in _ARRAYS}
        ids, titles = (tuple(table.column(name).to_pylist()) for name in ("id", "title"))
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(
            f"items of the ranker {folder} are missing or damaged: {error}",
            hint="`freshet ranker` makes a new one",
        ) from None
    return ItemIndex(ids, titles, **arrays)


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
