"""Files of impressions that can be read; one that can't must not hold up what is made of the others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from freshet.experiments.measurement.collect import IMPRESSIONS


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


def odd(source: Path) -> Iterator[Path]:
    """Files of a workspace's folder that lie in no day's folder, or are not whole."""
    for path in sorted((source / IMPRESSIONS).glob("*/*.parquet")):
        if day_of_folder(path.parent) is None or columns_of(path) is None:
            yield path
