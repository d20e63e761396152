"""Searches every file of a workspace for people: columns of Parquet, members of archives, and raw bytes."""

from __future__ import annotations

import gzip
import mmap
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from freshet.core import config
from freshet.core.ports import Progress, silent
from freshet.privacy.person import Names
from freshet.stages.events.refused_rows import OfPeople
from freshet.storage.secrets import PRIVACY

_TEXT = (".json", ".jsonl", ".txt", ".csv", ".toml", ".log", ".html", ".md")
_DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""Of archives that are cut off, damaged, encrypted, or compressed in a way that Python does not know."""
_SETTINGS = "freshet.toml"
"""Its owner's; `privacy/` holds keyed hashes on purpose."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Where something of the people was found.

    Attributes:
        path: within the workspace.
        what: how it was found; for a file that can't be read, why.
        count: values, rows or places; 0 of a file that can't be read.
    """

    path: str
    what: str
    count: int


@dataclass(frozen=True, slots=True)
class Searched:
    """A search: `bytes` as the files lie on the disk."""

    files: int
    bytes: int
    traces: tuple[Trace, ...]


def search(
    root: Path,
    names: Names,
    columns: config.Columns,
    progress: Progress = silent,
    sources: frozenset[Path] = frozenset(),
) -> Searched:
    """Look into every file below a folder but `privacy/` and the settings; links are not followed.

    Args:
        sources: files that are their owner's, and are left out.
    """
    paths = [path for path in _files(root) if path not in sources]
    found: list[Trace] = []
    size = 0
    rows = OfPeople(names.ids, columns)
    for done, path in enumerate(paths, 1):
        with suppress(FileNotFoundError):  # deleted meanwhile: there is nothing in it
            size += path.stat().st_size
            shown = path.relative_to(root).as_posix()
            found += [
                Trace(shown, what, count) for what, count in _of_file(path, names, rows) if count or what
            ]
        progress(done, len(paths))
    return Searched(len(paths), size, tuple(found))


def _files(root: Path) -> Iterator[Path]:
    for folder, inside, files in os.walk(root):
        inside.sort()
        if Path(folder) == root:
            inside[:] = [name for name in inside if name != PRIVACY]
        for name in sorted(files):
            path = Path(folder, name)
            if not path.is_symlink() and path.is_file() and path != root / _SETTINGS:
                yield path


def _of_file(path: Path, names: Names, rows: OfPeople) -> Iterator[tuple[str, int]]:
    if path.suffix == ".parquet":
        yield from of_parquet(path, names, rows)
    elif path.suffix == ".gz":
        try:
            with gzip.open(path) as file:
                yield from _counted("bytes, decompressed", names.in_bytes(file.read()))
        except FileNotFoundError:
            raise
        except _DAMAGED:
            yield "can't be decompressed", 0
    elif path.suffix in (".npz", ".zip"):
        try:
            with zipfile.ZipFile(path) as archive:
                total = sum(names.in_bytes(archive.read(member)) for member in archive.namelist())
        except FileNotFoundError:
            raise
        except _DAMAGED:
            yield "can't be opened as an archive", 0
            return
        yield from _counted("members of an archive", total)
    elif path.suffix in _TEXT:
        data = path.read_bytes()
        text = data.decode(errors="replace")
        yield from _counted("text", max(names.in_text(text), names.in_bytes(data)))
    else:
        yield from _counted("bytes", _in_raw(path, names))


def _counted(what: str, count: int) -> Iterator[tuple[str, int]]:
    if count:
        yield what, count


def _in_raw(path: Path, names: Names) -> int:
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return 0
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return names.in_bytes(data)  # type: ignore[arg-type]


def of_parquet(path: Path, names: Names, rows: OfPeople) -> Iterator[tuple[str, int]]:
    """What a Parquet file holds of the people: (column, values), and what its statistics name."""
    try:
        with pq.ParquetFile(path) as file:
            stated = _in_statistics(file, names)
            total: dict[str, int] = {}
            for number in range(file.num_row_groups):
                for column, count in _in_columns(file.read_row_group(number), names, rows):
                    total[column] = total.get(column, 0) + count
    except (OSError, pa.ArrowException) as error:
        yield f"can't be read as Parquet: {str(error).splitlines()[0][:80]}", 0
        return
    yield from _counted("statistics", stated)
    for column, count in total.items():
        yield from _counted(f"column {column}", count)


def _in_columns(table: pa.Table, names: Names, rows: OfPeople) -> Iterator[tuple[str, int]]:
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name == "raw" and "reason" in table.column_names:
            yield name, sum(rows(raw) for raw in column.to_pylist())
        else:
            hit = hits(column, names)
            yield name, 0 if hit is None or name == "item" else int(np.count_nonzero(hit))


def hits(column: pa.ChunkedArray, names: Names) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """(n,) which rows of a column name one of the people; None for a column that can't."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        found = pc.is_in(column, value_set=pa.array(sorted(names.ids), kind))
        return np.asarray(found.combine_chunks())
    if pa.types.is_uint64(kind):
        return np.isin(column.to_numpy(), names.numbers)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return np.array(
            [value is not None and names.in_bytes(value) > 0 for value in column.to_pylist()], bool
        )
    return None


def _in_statistics(file: pq.ParquetFile, names: Names) -> int:
    found = 0
    for group in range(file.metadata.num_row_groups):
        part = file.metadata.row_group(group)
        for number in range(part.num_columns):
            column = part.column(number)
            if (
                column.path_in_schema == "item"
                or not column.is_stats_set
                or not column.statistics.has_min_max
            ):
                continue
            for value in (column.statistics.min, column.statistics.max):
                text = value.decode(errors="replace") if isinstance(value, bytes) else value
                found += isinstance(text, str) and text in names.ids
    return found
