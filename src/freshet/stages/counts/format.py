"""A count model as plain arrays beside its table: what serving and evaluation score users with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from freshet.stages.counts.count_model import ContextCounts, CountModel, StoredRows
from freshet.storage.sound_reading import sound

PARTS = ("codes", "start", "successor", "weight")
"""Arrays of the counts after contexts of one length."""


def write(model: CountModel, folder: Path) -> None:
    """Write the model into a new folder."""
    folder.mkdir(parents=True)
    np.save(folder / "popularity.npy", model.popularity)
    np.save(folder / "base.npy", model.base)
    np.save(folder / "last.npy", model.last)
    for length, table in enumerate(model.tables, start=2):
        for part in PARTS:
            np.save(folder / f"counts_{length}_{part}.npy", getattr(table, part))
    (folder / "strengths.json").write_text(json.dumps(list(model.prior_counts)))


@sound
def read(folder: Path) -> CountModel:
    """Read what `write` wrote."""

    def array(name: str) -> np.ndarray:
        return np.asarray(np.load(folder / f"{name}.npy", allow_pickle=False))

    base = array("base")
    prior_counts = tuple(json.loads((folder / "strengths.json").read_text()))

    def table(length: int) -> ContextCounts:
        codes, start, successor, weight = (array(f"counts_{length}_{part}") for part in PARTS)
        return ContextCounts(codes, start, successor, weight, len(base))

    tables = tuple(table(length) for length in range(2, len(prior_counts) + 1))
    return CountModel(array("popularity"), base, StoredRows(array("last")), tables, prior_counts)
