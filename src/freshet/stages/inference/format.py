"""Planner rows as plain arrays, so that a host without torch can read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import PlannerRows, ShortLists
from freshet.storage.sound_reading import sound

_ARRAYS = ("contexts", "fingerprints", "successors", "logp", "origin")
_LISTS = ("options", "mass", "day")
"""Beside them where the planner chose among short lists."""


def write(rows: PlannerRows, folder: Path) -> None:
    """Write the rows into a new folder; origins no row refers to any more are dropped."""
    folder.mkdir(parents=True)
    used, origin = np.unique(rows.origin, return_inverse=True)
    for name in _ARRAYS:
        array = origin.astype(np.int32) if name == "origin" else getattr(rows, name)
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    if rows.lists is not None:
        for name in _LISTS:
            np.save(folder / f"{name}.npy", getattr(rows.lists, name), allow_pickle=False)
    (folder / "origins.json").write_text(json.dumps([rows.origins[index] for index in used]))


@sound
def read(folder: Path) -> PlannerRows:
    """Read what `write` wrote, memory-mapped."""
    contexts, fingerprints, successors, logp, origin = (_mapped(folder, name) for name in _ARRAYS)
    origins = tuple(json.loads((folder / "origins.json").read_text()))
    lists = None
    if (folder / f"{_LISTS[0]}.npy").exists():
        lists = ShortLists(*(_mapped(folder, name) for name in _LISTS))
    return PlannerRows(contexts, fingerprints, successors, logp, origin, origins, lists)


def _mapped(folder: Path, name: str) -> NDArray[Any]:
    found: NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return found
