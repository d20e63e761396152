"""Columns of what a replay writes, from which every figure can be checked: docs/explanation/replay.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from freshet.storage.artifacts import Artifact
from freshet.storage.durable import written

SHORT = pa.list_(pa.int16())
NAMES = ("judged", "states", "costs", "circumstances")


JUDGED = pa.schema(
    [
        ("arm", pa.string()),
        ("origin", pa.date32()),
        ("made", pa.date32()),
        ("row", pa.int32()),
        ("user", pa.uint64()),
        ("day", pa.date32()),
        ("length", pa.int8()),
        ("recent", SHORT),
        ("successor", pa.int16()),
        ("candidates", pa.int16()),
        ("rank", pa.int16()),
        ("nll", pa.float32()),
        ("rank_any", pa.int16()),
        ("top", SHORT),
        ("p_top", pa.float32()),
        ("planner_rank", pa.int16()),
        ("planner_nll", pa.float32()),
        ("planner_top1", pa.int16()),
        ("evidence_top1", pa.int16()),
        ("bare_top1", pa.int16()),
    ]
)
"""One row per arm and transition."""

CIRCUMSTANCES = pa.schema(
    [
        ("origin", pa.date32()),
        ("row", pa.int32()),
        ("support", pa.int32()),
        ("item_age", pa.float32()),
        ("engagements", pa.int32()),
    ]
)
"""One row per transition, the same for all arms."""

STATES = pa.schema(
    [
        ("arm", pa.string()),
        ("origin", pa.date32()),
        ("made", pa.date32()),
        ("table", pa.string()),
        ("model", pa.string()),
        ("refreshed", pa.bool_()),
        ("tuned", pa.bool_()),
        ("rows", pa.int64()),
        ("changed", pa.int64()),
        ("churn", pa.float64()),
        ("floor", pa.float64()),
        ("bare_equal", pa.float64()),
        ("copies", pa.float64()),
        ("weight_planner", pa.float64()),
        ("weight_low", pa.float64()),
        ("weight_high", pa.float64()),
        ("statistic", pa.float64()),
        ("why", pa.string()),
    ]
)
"""One row per arm and origin."""

COSTS = pa.schema(
    [
        ("arm", pa.string()),
        ("origin", pa.date32()),
        ("step", pa.string()),
        ("tokens", pa.int64()),
        ("flops", pa.float64()),
        ("seconds", pa.float64()),
        ("money", pa.float64()),
    ]
)
"""One row per arm, origin and step; arms that share an artifact each bear its whole cost."""


def rows(schema: pa.Schema, found: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table; a column that a row lacks is null."""
    return pa.Table.from_pylist([dict(row) for row in found], schema)


@dataclass(frozen=True, slots=True)
class Results:
    """Columns: `freshet.replay.frames`."""

    judged: pa.Table
    states: pa.Table
    costs: pa.Table
    circumstances: pa.Table

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
        """A file each, such as `judged.parquet`."""
        for name in NAMES:
            with written(folder / f"{name}.parquet") as draft:
                pq.write_table(getattr(self, name), draft)
