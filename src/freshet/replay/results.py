"""What all origins of a replay found, as three frames and their Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from freshet.storage.artifacts import Artifact
from freshet.storage.durable import written

NAMES = ("judged", "states", "costs")


@dataclass(frozen=True, slots=True)
class Results:
    """Columns: `freshet.replay.frames`."""

    judged: pa.Table
    states: pa.Table
    costs: pa.Table

    @classmethod
    def of(cls, origins: Sequence[Artifact]) -> Results:
        """All origins together."""
        parts = [[pq.read_table(origin.path / f"{name}.parquet") for origin in origins] for name in NAMES]
        return cls(*(pa.concat_tables(tables) for tables in parts))

    @classmethod
    def read(cls, folder: Path) -> Results:
        """What `write` wrote."""
        return cls(*(pq.read_table(folder / f"{name}.parquet") for name in NAMES))

    def write(self, folder: Path) -> None:
        """`judged.parquet`, `states.parquet` and `costs.parquet`."""
        for name in NAMES:
            with written(folder / f"{name}.parquet") as draft:
                pq.write_table(getattr(self, name), draft)
