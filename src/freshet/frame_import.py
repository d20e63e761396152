"""Frames into a workspace: pandas, polars, Arrow and Hugging Face `datasets`, by the importer of files.

import freshet

freshet.import_events("shop", frame)

Whatever speaks Arrow's PyCapsule interface (`__arrow_c_stream__`) is taken; its library is not imported.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace as replace_fields
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, runtime_checkable
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from freshet import operations
from freshet.core.errors import ConfigError, InputError
from freshet.core.safe_names import checked
from freshet.stages import events
from freshet.stages.events import ImportReport, ItemsReport
from freshet.stages.events.step import located
from freshet.storage.durable import make_folder, written
from freshet.storage.workspace import DRAFTS
from freshet.wiring import open_workspace

_ROWS = 100_000
"""Rows of a data set that are in memory at once."""


@runtime_checkable
class ArrowStream(Protocol):
    """What pandas, polars, pyarrow and DuckDB give their rows through."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A capsule with an Arrow stream."""


@runtime_checkable
class DataSet(Protocol):
    """What a split of a Hugging Face data set gives its rows through."""

    def with_format(self, type: str) -> Any:
        """The same rows, given as Arrow tables."""

    def iter(self, batch_size: int) -> Iterable[Any]:
        """Its rows, so many at a time."""


Frame = ArrowStream | DataSet


def import_events(
    workspace: str | Path,
    frame: Frame,
    *,
    name: str = "frame",
    replace: bool = False,
    now: datetime | None = None,
) -> ImportReport:
    """Add a frame's rows to the log, as `freshet import FILE` adds a file's: the same columns, rules, notes.

    Rows that can't be used go to `quarantine/` with a reason: rows_read = added + duplicates + quarantined.
    The frame's index is no column: what is needed of it must be a column before. Times without a zone are
    read in `[events] timezone`, and the notes say so.

    Args:
        frame: a pandas or polars data frame, an Arrow table or reader, or a split of a Hugging Face data set.
        name: what reports and quarantine call it.
        replace: the frame's days hold the frame's events and nothing else.
        now: the current time, with zone; events more than a day later are refused. None = now.

    Raises:
        InputError: it is no frame, a column that is needed isn't there, or no row can be used.
        ConfigError: the folder is no workspace, or its settings are wrong.
        Busy: another run is writing.
    """
    ws = open_workspace(Path(workspace))
    with ws.hold("import"):  # clears what a killed writer left, before anything is put there
        pass
    with _scratch(ws.root) as scratch:
        path = scratch / f"{checked(name, 'name of a frame')}.parquet"
        notes = _write(frame, path)
        _, found = operations.import_log(ws, now or datetime.now(UTC), [path], replace)
    report = found.events[0]
    return replace_fields(report, notes=(*notes, *report.notes))


def import_items(workspace: str | Path, frame: Frame) -> ItemsReport:
    """Make a frame the catalogue: write it to the workspace's Parquet file that `[events] items` names.

    Args:
        frame: as for `import_events`.

    Raises:
        ConfigError: `[events] items` names no Parquet file within the workspace; others are left alone.
        InputError: it is no frame, has no column of ids, or no row can be used; the file stays as it was.
        Busy: another run is writing.
    """
    ws = open_workspace(Path(workspace))
    named = ws.config.events.items
    place = located(ws, named)
    path = place.resolve() if isinstance(place, Path) else None
    if not named or path is None or path.suffix != ".parquet" or not path.is_relative_to(ws.root.resolve()):
        raise ConfigError(
            f"[events] items is {named!r}, which is no Parquet file within {ws.root}",
            hint='set it to "items.parquet", which import_items then writes',
        )
    with ws.hold("import"), _scratch(ws.root) as scratch:
        draft = scratch / "items.parquet"
        _write(frame, draft)
        report = events.import_items(draft, ws.config.events, scratch / "read", ws.root / "quarantine")
        with written(path) as aside:
            aside.write_bytes(draft.read_bytes())
    return report


@contextmanager
def _scratch(root: Path) -> Iterator[Path]:
    make_folder(root / DRAFTS)
    with TemporaryDirectory(dir=root / DRAFTS, prefix=f"frame-{uuid4().hex[:8]}-") as folder:
        yield Path(folder)


def _write(frame: Frame, path: Path) -> tuple[str, ...]:
    """Write a frame as Parquet, a piece at a time; returns what was left out, in words."""
    try:
        reader = _reader(frame)
        index = _index_columns(reader.schema)
        kept = [name for name in reader.schema.names if name not in index]
        twice = sorted({one for one in kept if kept.count(one) > 1})
        if twice:
            raise InputError(f"the frame has two columns {twice[0]!r}", hint="rename one of them")
        schema = pa.schema([(one, _plain_type(reader.schema.field(one).type)) for one in kept])
        with pq.ParquetWriter(path, schema, store_schema=False) as file:
            for batch in reader:
                columns = [_plain(batch.column(one)).cast(schema.field(one).type) for one in kept]
                file.write_batch(pa.record_batch(columns, schema=schema))
    except (ValueError, TypeError, NotImplementedError) as error:  # Arrow's own are these, and pandas's
        raise InputError(
            f"the frame can't be read as Arrow: {str(error).splitlines()[0]}",
            hint="columns of text, numbers, times or truth values can be; make the others text",
        ) from None
    shown = [one for one in index if not one.startswith("__index_level")] or (["its index"] if index else [])
    return tuple(f"{path.stem}: {one} is the frame's index, and not read: `reset_index()` makes it a column"
                 for one in shown)  # fmt: skip


def _plain_type(type_: pa.DataType) -> pa.DataType:
    """How a column is written: categories by their values: Parquet's writer doesn't take all."""
    if pa.types.is_dictionary(type_):
        return _plain_type(type_.value_type)
    return pa.large_string() if pa.types.is_string_view(type_) else type_


def _plain(column: pa.Array) -> pa.Array:
    if not pa.types.is_dictionary(column.type):
        return column
    return column.dictionary.cast(_plain_type(column.type)).take(column.indices)


def _reader(frame: Frame) -> pa.RecordBatchReader:
    if isinstance(frame, ArrowStream):
        return pa.RecordBatchReader.from_stream(frame)
    if isinstance(frame, DataSet):
        tables = iter(frame.with_format("arrow").iter(_ROWS))
        first = next(tables, None)
        if first is None:
            raise InputError("the data set has no rows", hint="give a split with rows")
        return pa.RecordBatchReader.from_batches(first.schema, _batches(first, tables))
    raise InputError(
        f"{type(frame).__name__} is no frame that Arrow can read",
        hint="give a pandas or polars data frame (a lazy one collected), an Arrow table or reader, or a "
        "split of a data set",
    )


def _batches(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.RecordBatch]:
    yield from first.to_batches()
    for table in rest:
        yield from table.cast(first.schema).to_batches()


def _index_columns(schema: pa.Schema) -> list[str]:
    """Columns that are the index of a pandas frame; one of row numbers is none."""
    told = (schema.metadata or {}).get(b"pandas")
    named = json.loads(told)["index_columns"] if told else []
    return [one for one in named if isinstance(one, str)]
