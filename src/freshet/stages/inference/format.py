"""Planner rows as plain arrays, so that a host without torch can read them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from freshet.core.types import PlannerRows

_ARRAYS = ("contexts", "fingerprints", "successors", "logp", "origin")


def write(rows: PlannerRows, folder: Path) -> None:
    """Write the rows into a new folder; origins no row refers to any more are dropped."""
    folder.mkdir(parents=True)
    used, origin = np.unique(rows.origin, return_inverse=True)
    for name in _ARRAYS:
        array = origin.astype(np.int32) if name == "origin" else getattr(rows, name)
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    (folder / "origins.json").write_text(json.dumps([rows.origins[index] for index in used]))


def read(folder: Path) -> PlannerRows:
    """Read what `write` wrote, memory-mapped."""
    contexts, fingerprints, successors, logp, origin = (
        np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS
    )
    origins = tuple(json.loads((folder / "origins.json").read_text()))
    return PlannerRows(contexts, fingerprints, successors, logp, origin, origins)
