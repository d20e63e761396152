"""How a ranker is kept: its items as Parquet and `.npy`, the model of histories in a folder beside them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freshet.core.errors import ArtifactError
from freshet.core.ports import Artifact
from freshet.stages.items.item_index import Shelves
from freshet.stages.items.ranker import Ranker
from freshet.stages.sequence import read as read_sequence

NAMES = "items.parquet"
MODEL, ITEMS = "model", "items"
"""Folders in the artifact."""
_ARRAYS = [field.name for field in fields(Shelves) if field.name not in ("ids", "titles")]


def write(shelves: Shelves, folder: Path) -> None:
    """Write into a new folder: names as Parquet, each array as `.npy`."""
    folder.mkdir(parents=True)
    table = pa.table(
        {"id": pa.array(shelves.ids, pa.string()), "title": pa.array(shelves.titles, pa.string())}
    )
    pq.write_table(table, folder / NAMES, compression="zstd")
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(shelves, name), allow_pickle=False)


def read(folder: Path) -> Shelves:
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
    return Shelves(ids, titles, **arrays)


def open_ranker(made: Artifact) -> Ranker:
    """The ranker of an artifact `rankers/<version>`; numpy alone is needed.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    shelves = read(made.path / ITEMS)
    if not (made.path / MODEL).exists():
        return Ranker(shelves, np.zeros((len(shelves), 0), np.float32), None)
    model = read_sequence(made.path / MODEL)
    return Ranker(shelves, model.weights.embedding, model.state_of)
