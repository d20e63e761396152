"""Evidence as a Parquet file: one row per context, its lists as wide as the longest."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.types import Evidence
from freshet.storage.parquet_columns import numbers, read_columns
from freshet.storage.sound_reading import sound

_COLUMNS = tuple(field.name for field in fields(Evidence))


def write(evidence: Evidence, path: Path) -> None:
    """Write evidence, ordered as it is."""
    columns = {name: _column(getattr(evidence, name)) for name in _COLUMNS}
    pq.write_table(pa.table(columns), path, compression="zstd")


@sound
def read(path: Path) -> Evidence:
    """Read what `write` wrote."""
    table = read_columns(path).combine_chunks()
    return Evidence(*(_array(table[name]) for name in _COLUMNS))


def _column(values: NDArray[Any]) -> pa.Array:
    flat = pa.array(values.reshape(-1))
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    if not pa.types.is_fixed_size_list(column.type):
        return numbers(column)
    values = [chunk.flatten() for chunk in column.chunks]
    return numbers(pa.chunked_array(values, column.type.value_type)).reshape(-1, column.type.list_size)
