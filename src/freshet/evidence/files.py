"""Evidence as a Parquet file: one row per (context, successor), in order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from freshet.types import Context, ContextEvidence, Successor

_SCHEMA = pa.schema(
    [
        ("context", pa.list_(pa.int16())),
        ("after", pa.list_(pa.int16())),
        ("successor", pa.int16()),
        ("share", pa.float64()),
        ("support", pa.float64()),
    ]
)


def write(evidence: Mapping[Context, ContextEvidence], path: Path) -> None:
    """Write evidence, ordered by context."""
    rows = [
        {
            "context": context,
            "after": said.after,
            "successor": s.interest,
            "share": s.share,
            "support": s.support,
        }
        for context, said in sorted(evidence.items())
        for s in said.successors
    ]
    pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), path, compression="zstd")


def read(path: Path) -> dict[Context, ContextEvidence]:
    """Read what `write` wrote."""
    found: dict[Context, tuple[Context, list[Successor]]] = {}
    for row in pq.read_table(path).to_pylist():
        context = tuple(row["context"])
        _, successors = found.setdefault(context, (tuple(row["after"]), []))
        successors.append(Successor(row["successor"], row["share"], row["support"]))
    return {context: ContextEvidence(after, tuple(rows)) for context, (after, rows) in found.items()}
