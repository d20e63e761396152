"""Arrow tables on disk: checksums of their content, and Parquet files that appear whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from freshet.storage.durable import written

COMPRESSION = "zstd"


class Checksum:
    """SHA-256 over names, types and values of a table whose columns are text or 64 bits wide.

    Rows may come in any number of pieces; how they are chunked, compressed or stored makes no difference.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._parts = [(hashlib.sha256(), hashlib.sha256()) for _ in schema]

    def update(self, table: pa.Table) -> None:
        """Hash more rows, in their order."""
        for (shape, values), column in zip(self._parts, table.columns, strict=True):
            for chunk in column.chunks:
                if pa.types.is_large_string(chunk.type):
                    shape.update(_numbers(pc.fill_null(pc.binary_length(chunk), -1)))
                    values.update(_characters(pc.fill_null(chunk, "")))
                else:
                    shape.update(_numbers(pc.cast(pc.is_null(chunk), pa.int64())))
                    values.update(_numbers(pc.fill_null(chunk.view(pa.int64()), 0)))

    def hexdigest(self) -> str:
        """32 hex digits."""
        whole = hashlib.sha256()
        for field, (shape, values) in zip(self._schema, self._parts, strict=True):
            whole.update(f"{field.name}\0{field.type}\0".encode())
            whole.update(shape.digest() + values.digest())
        return whole.hexdigest()[:32]


def checksum_of(path: Path) -> str:
    """Checksum of a Parquet file's content, read a row group at a time.

    Raises:
        OSError, ValueError: the file is missing or can't be read; Arrow's errors are these.
    """
    with pq.ParquetFile(path) as file:
        schema = as_written(file.schema_arrow)
        found = Checksum(schema)
        for number in range(file.num_row_groups):
            found.update(file.read_row_group(number).cast(schema))
    return found.hexdigest()


def as_written(schema: pa.Schema) -> pa.Schema:
    """Parquet itself has one type for short and large text columns."""
    large = {pa.string(): pa.large_string()}
    return pa.schema([(field.name, large.get(field.type, field.type)) for field in schema])


def checksum(table: pa.Table) -> str:
    """Checksum of a whole table."""
    found = Checksum(table.schema)
    found.update(table)
    return found.hexdigest()


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table as one Parquet file, which appears whole or not at all."""
    with written(path) as aside:
        pq.write_table(table.combine_chunks(), aside, compression=COMPRESSION, store_schema=False)


def _numbers(chunk: pa.Array) -> bytes:
    return np.asarray(chunk).astype("<i8", copy=False).tobytes()


def _characters(chunk: pa.LargeStringArray) -> memoryview:
    """The text of a chunk without nulls, end to end."""
    _, offsets, characters = chunk.buffers()
    ends = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
    return memoryview(characters or b"")[ends[0] : ends[-1]]
