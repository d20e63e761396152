"""Columns of a Parquet file, read without what most commands have no use for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.storage.sound_reading import sound


@sound
def read_columns(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Columns of one file, all by default; those that it doesn't have are left out.

    `pyarrow.parquet.read_table` loads what reads many files, and pandas where it is installed, which takes
    longer than all that a command looks at.

    Raises:
        ArtifactError: the file is missing or can't be read.
    """
    with pq.ParquetFile(path) as file:
        return file.read(columns=columns)


def numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    """(rows,) numbers of a column that lacks none, of its own type, not to be written to.

    Arrow's `to_numpy` gives the same, and loads pandas where it is installed.
    """
    parts = [np.from_dlpack(chunk) for chunk in column.chunks]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([np.zeros(0, column.type.to_pandas_dtype()), *parts])
