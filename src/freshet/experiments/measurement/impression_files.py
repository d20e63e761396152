"""Files of impressions: where they lie, what a row holds, and which of them can be read.

A file that can't be read must not hold up what is made of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

IMPRESSIONS = "impressions"
"""Folder of what was shown: `date=YYYY-MM-DD/*.parquet`."""

SHOWN = pa.schema(
    [
        ("id", pa.string()),
        ("time", pa.timestamp("us")),
        ("user", pa.string()),
        ("release", pa.int64()),
        ("context", pa.list_(pa.int32())),
        ("answered", pa.string()),
        ("explored", pa.bool_()),
        ("place", pa.int32()),
        ("interest", pa.int32()),
        ("score", pa.float64()),
        ("propensity", pa.float64()),
        ("reason", pa.string()),
        ("items", pa.list_(pa.string())),
        ("experiment", pa.dictionary(pa.int32(), pa.string())),
        ("arm", pa.dictionary(pa.int32(), pa.string())),
        ("user_key", pa.uint64()),
    ]
)
"""One row for each interest of an answer; `place` counts from 0, times are UTC as in the log.

An answer outside all experiments has '' for experiment and arm. `user_key` is `types.user_number`, 0 without
a user. Files written before a column existed lack it.
"""


def day_of_folder(folder: Path) -> date | None:
    """The day that a folder `date=YYYY-MM-DD` holds; None if it is no such folder."""
    name, _, day = folder.name.partition("=")
    try:
        return date.fromisoformat(day) if name == "date" else None
    except ValueError:
        return None


def columns_of(path: Path) -> frozenset[str] | None:
    """Columns of a file; None if the end of a Parquet file, written last, isn't there."""
    try:
        return frozenset(map(str, pq.read_schema(path).names))
    except (OSError, pa.ArrowException):
        return None


def unreadable(source: Path) -> Iterator[Path]:
    """Files of a workspace's folder that lie in no day's folder, or are not whole."""
    for path in sorted((source / IMPRESSIONS).glob("*/*.parquet")):
        if day_of_folder(path.parent) is None or columns_of(path) is None:
            yield path
