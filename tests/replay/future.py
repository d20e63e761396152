"""A world whose future is another one: what was made before it must not change by a byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from freshet.core.types import AsOf
from freshet.storage.workspace import Workspace

VERSIONS = ("manifest.json", "origins.json", "origin.npy")
"""Files that hold versions of other artifacts, which hash the whole item file."""


def another(world: Path, into: Path, at: AsOf) -> Path:
    """From `at` on other users engage other items with other values, a third of it never happens, and items
    first seen from then on are called something else."""
    into.mkdir()
    log = pq.read_table(world / "events.parquet")
    late = np.array(pc.greater_equal(log["timestamp"], pa.scalar(at.moment)).to_pylist())
    seen = set(log.filter(pa.array(~late))["item_id"].to_pylist())
    for seed, name in enumerate(("item_id", "user_id", "value")):
        column = np.array(log[name].to_pylist())
        column[late] = np.random.default_rng(seed).permutation(column[late])
        log = log.set_column(log.column_names.index(name), name, pa.array(column))
    gone = late & (np.random.default_rng(3).random(len(late)) < 1 / 3)
    pq.write_table(log.filter(pa.array(~gone)), into / "events.parquet")
    items = pq.read_table(world / "items.parquet")
    new = [name not in seen for name in items["item_id"].to_pylist()]
    assert 0 < sum(new) < len(new)
    for name in {"title", "text"} & set(items.column_names):
        words = [
            f"other words {i}" if fresh else old
            for i, (old, fresh) in enumerate(zip(items[name].to_pylist(), new, strict=True))
        ]
        items = items.set_column(items.column_names.index(name), name, pa.array(words))
    pq.write_table(items, into / "items.parquet")
    return into


def files(sandbox: Workspace, kind: str, version: str) -> dict[str, bytes]:
    """Every file of an artifact but those that name versions of others."""
    found = sandbox.store.find(kind, version)
    assert found is not None
    paths = [path for path in sorted(found.path.rglob("*")) if path.is_file() and path.name not in VERSIONS]
    return {str(path.relative_to(found.path)): path.read_bytes() for path in paths}
