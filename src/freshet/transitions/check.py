"""What a count needs of the pool, and whether it is as it was written."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from freshet.transitions.pool import digest


def referenced(folder: Path) -> set[str]:
    """Names, within the pool, of the files that a count needs; the others are garbage."""
    days = json.loads((folder / "days.json").read_text())["days"].values()
    return {entry[kind] for entry in days for kind in ("engagements", "transitions")} - {""}


def intact(path: Path) -> bool:
    """Whether a pool file holds the content it is named by; False too where it can't be read."""
    try:
        return digest(pq.read_table(path, partitioning=None)) == path.stem
    except (OSError, pa.ArrowInvalid):
        return False
