"""The pool of day files: Parquet named by content, so that equal days are one file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freshet.durable import written
from freshet.types import RECENT

DAY = 86_400_000_000
"""Microseconds."""

BATCH = 1_000_000
"""Rows per streamed batch: bounds memory whatever the length of the log."""

ENGAGEMENTS = pa.schema([("user_key", pa.uint64()), ("time", pa.int64()), ("interest", pa.int16())])
TRANSITIONS = pa.schema(
    [
        ("user_key", pa.uint64()),
        ("time", pa.int64()),
        ("recent", pa.list_(pa.int16(), RECENT)),
        ("successor", pa.int16()),
        ("known", pa.binary()),
    ]
)
_EMPTY = {
    "engagements": "NULL::UBIGINT AS user_key, NULL::BIGINT AS time, NULL::SMALLINT AS interest",
    "transitions": f"NULL::UBIGINT AS user_key, NULL::BIGINT AS time, NULL::SMALLINT[{RECENT}] AS recent, "
    "NULL::SMALLINT AS successor, NULL::BLOB AS known",
}


def quoted(path: Path) -> str:
    """A path as an SQL string literal."""
    return "'" + str(path).replace("'", "''") + "'"


def relation(kind: str, paths: Iterable[Path]) -> str:
    """A FROM source over day files; no files give an empty relation with the same columns."""
    files = ", ".join(quoted(path) for path in paths)
    if files:
        return f"read_parquet([{files}], hive_partitioning = false)"
    return f"(SELECT {_EMPTY[kind]} WHERE false)"


def day_name(number: int) -> str:
    """Days since 1970 as an ISO date."""
    return str(date(1970, 1, 1) + timedelta(days=number))


def day_number(name: str) -> int:
    """ISO date as days since 1970."""
    return (date.fromisoformat(name) - date(1970, 1, 1)).days


def by_day(reader: pa.RecordBatchReader) -> Iterator[tuple[str, pa.Table]]:
    """Split a stream that is sorted by day into one table per day; holds one day in memory."""
    pending: list[pa.Table] = []
    current = -1
    for batch in reader:
        table = pa.Table.from_batches([batch])
        numbers = table["time"].to_numpy() // DAY
        edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        for start, end in pairwise(edges):
            if end == start:
                continue
            if pending and numbers[start] != current:
                yield day_name(current), pa.concat_tables(pending)
                pending = []
            current = int(numbers[start])
            pending.append(table.slice(start, end - start))
    if pending:
        yield day_name(current), pa.concat_tables(pending)


def write_day(pool: Path, kind: str, schema: pa.Schema, day: str, table: pa.Table) -> str:
    """Store one day's rows, in the order given, under the name of their content.

    Returns:
        The file's name within the pool; an existing file of that name has the same rows.
    """
    table = table.cast(schema).combine_chunks()
    name = f"{kind}/date={day}/{digest(table)}.parquet"
    with written(pool / name) as aside:  # over one that is there already, which may be damaged
        pq.write_table(table, aside, compression="zstd")
    return name


def digest(table: pa.Table) -> str:
    """Name of some rows."""
    found = hashlib.blake2b(digest_size=16)
    for column in table.combine_chunks().columns:  # values alone: Arrow buffers also hold padding and offsets
        found.update(_values(column.chunk(0)))
    return found.hexdigest()


def _values(array: pa.Array) -> bytes:
    if pa.types.is_binary(array.type):
        return b"".join(array.to_pylist())
    if pa.types.is_fixed_size_list(array.type):
        array = array.flatten()
    return bytes(array.to_numpy(zero_copy_only=False).tobytes())
