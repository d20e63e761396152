"""What was held back on disk: `moves.parquet`, and `bursts.parquet`, which says why."""

from __future__ import annotations

from dataclasses import astuple, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freshet.core.errors import ArtifactError
from freshet.stages.screen.held_back import MOVE, Burst, HeldBack
from freshet.storage.sound_reading import OTHERWISE

JUDGED = b"judged"
"""Key of the file's metadata: how many moves were looked at."""


def write(held: HeldBack, folder: Path) -> None:
    """Write both files into a folder."""
    moves = pa.table({name: np.ascontiguousarray(held.moves[name]) for name in MOVE.names or ()})
    pq.write_table(
        moves.replace_schema_metadata({JUDGED: str(held.judged).encode()}), folder / "moves.parquet"
    )
    names = [field.name for field in fields(Burst)]
    rows = np.array([astuple(burst) for burst in held.bursts], np.int64).reshape(-1, len(names))
    pq.write_table(pa.table(dict(zip(names, rows.T, strict=True))), folder / "bursts.parquet")


def read(folder: Path) -> HeldBack:
    """Read what `write` wrote.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    try:
        table, rows = pq.read_table(folder / "moves.parquet"), pq.read_table(folder / "bursts.parquet")
        moves = np.empty(len(table), MOVE)
        for name in MOVE.names or ():
            moves[name] = table[name].to_numpy()
        bursts = tuple(Burst(**row) for row in rows.to_pylist())
        return HeldBack(moves, bursts, int((table.schema.metadata or {})[JUDGED]))
    except OTHERWISE as error:
        raise ArtifactError(
            f"what was held back in {folder} can't be read: {error}",
            hint="`freshet doctor --repair` moves the artifact aside; the next run screens the log again",
        ) from None
