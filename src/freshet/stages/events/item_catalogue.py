"""The catalogue: one row per item with its title, its text and every other column of the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa

from freshet.core import config
from freshet.core.ports import SourceStore
from freshet.core.urls import Location, Url
from freshet.stages.events import quarantine
from freshet.stages.events.columns import ItemColumns, item_columns
from freshet.stages.events.formats import SourceFile, item_source
from freshet.stages.events.id_columns import with_ids
from freshet.stages.events.parquet_files import checksum, write_parquet
from freshet.stages.events.snapshots import Snapshot
from freshet.stages.events.source_listing import note_unread
from freshet.stages.events.source_tables import (
    ROW,
    Table,
    forget_rejects,
    open_table,
    refuse_lines,
    rejects,
    unreadable,
)
from freshet.storage import sql

FILE = "items.parquet"
_OWN = ("item", "title", "text")
_SCHEMA = pa.schema([(name, pa.large_string()) for name in _OWN])


@dataclass(frozen=True, slots=True)
class ItemsReport:
    """What an import of items did; rows_read = items + duplicates + all quarantined.

    Attributes:
        sources: files, globs and folders that were read.
        quarantined: reason -> rows left out.
        columns: columns of the written table.
        without_text: items with neither title nor text.
        checksum: hash of the table's content.
    """

    sources: tuple[Location, ...]
    rows_read: int
    items: int
    duplicates: int
    quarantined: dict[str, int]
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    without_text: int
    checksum: str


@dataclass(frozen=True, slots=True)
class _Staged:
    """Rows of one file in a table of the database, and their other columns (None: it holds no rows)."""

    name: str
    others: tuple[str, ...]
    rows: int
    quarantined: dict[str, int]
    notes: tuple[str, ...]


def import_items(
    source: Location | Sequence[Location] | None,
    settings: config.Events,
    into: Path,
    refused: Path | None = None,
    store: SourceStore | None = None,
) -> ItemsReport:
    """Write `into/items.parquet`: item (unique, sorted), title, text, and the source's other columns as text.

    Of several rows of one item the first in the order of their content stays, rows with text before rows
    without. Titles and texts are never null.

    Args:
        source: item file, a glob, a folder that holds such files, or several of these; None writes an empty
            table.
        refused: folder for rows that can't be used; None keeps none.
        store: of sources in buckets; None where files alone are read.

    Raises:
        InputError: the source can't be read as configured.
    """
    sources = (source,) if isinstance(source, Path | Url) else tuple(source or ())
    if not sources:
        return _write(_SCHEMA.empty_table(), into, sources, [], ())
    found = [item_source(one, store) for one in sources]
    passed_over = [
        note
        for one, where in zip(found, sources, strict=True)
        for note in note_unread(where, one.unread, "items")
    ]
    files = [file for one in found for file in one.files]
    with TemporaryDirectory() as scratch, sql.connect_spilling(Path(scratch)) as connection:
        staged = [
            _stage(connection, file, settings, f"staged_{number}", Path(scratch), refused)
            for number, file in enumerate(files)
        ]
        items = connection.sql(_unique(staged)).to_arrow_table()
    return _write(items, into, sources, staged, passed_over)


def _stage(
    connection: duckdb.DuckDBPyConnection,
    file: SourceFile,
    settings: config.Events,
    name: str,
    scratch: Path,
    refused: Path | None,
) -> _Staged:
    with TemporaryDirectory(dir=scratch) as copies, file.content.reporting():
        table = open_table(connection, file, Path(copies), settings.encoding)
        if not table.columns:
            refuse_lines(connection, table)
            connection.execute(f"CREATE TEMP TABLE {name} AS {_NOTHING}")
            return _Staged(name, (), 0, {}, (*table.notes, f"{file.path.name} holds no items"))
        columns = item_columns(table, settings.item_columns)
        others = tuple(column for column in table.columns if _is_other(column, columns))
        forget_rejects(connection)
        try:
            connection.execute(f"CREATE TEMP TABLE {name} AS {_selected(table, columns, others, settings)}")
            rows, quarantined = _counts(connection, name)
            quarantine.refuse_items(connection, name, file.path, rows, quarantined)
            much = quarantine.many(connection, name, file.path, rows, quarantined)
        except duckdb.Error as error:
            raise unreadable(file.path, error) from None
    if refused is not None:
        quarantine.keep(connection, name, file.path, refused)
    notes = [*table.notes, *columns.notes, *_left_out(table, columns)]
    if rows == 0:
        notes.append(f"{file.path.name} holds no items")
    if much:
        notes.append(much)
    return _Staged(name, others, rows, quarantined, tuple(notes))


def _is_other(name: str, columns: ItemColumns) -> bool:
    return name not in (columns.item, columns.title, columns.text) and name.lower() not in _OWN


def _left_out(table: Table, columns: ItemColumns) -> list[str]:
    used = (columns.item, columns.title, columns.text)
    return [
        f"{table.path.name}: column {name!r} is left out, {used[_OWN.index(name.lower())]!r} takes its name"
        for name in table.columns
        if name.lower() in _OWN and name not in used
    ]


_REASONS = (quarantine.REASON, quarantine.ROW, quarantine.RAW)
_NOTHING = "SELECT {} WHERE false".format(
    ", ".join(f"NULL::VARCHAR AS {sql.name(name)}" for name in (*_OWN, *_REASONS))
)


def _selected(table: Table, columns: ItemColumns, others: tuple[str, ...], settings: config.Events) -> str:
    title = f"coalesce({_text(columns.title)}, '')" if columns.title else "''"
    text = f"coalesce({_text(columns.text)}, '')" if columns.text else "''"
    if columns.text and columns.text.lower() == "genres":  # MovieLens: Action|Comedy
        text = f"replace({text}, '|', ' ')"
    kept = "".join(f", {_text(name)} AS {sql.name(name)}" for name in others)
    table, ids = with_ids(table, {"item": columns.item}, settings.missing)
    item = ids["item"]
    reason = f"""CASE
        WHEN {table.broken} THEN {sql.text(quarantine.UNREADABLE_ROW)}
        WHEN {table.repeated} THEN {sql.text(quarantine.REPEATED_HEADER)}
        WHEN {item.missing} THEN 'missing item'
        {item.problems}
        END"""
    why, number, raw = (sql.name(name) for name in _REASONS)
    return f"""SELECT {item.id} AS item, {title} AS title, {text} AS "text"{kept}, {reason} AS {why},
                      {sql.name(ROW)} AS {number}, CASE WHEN {why} IS NOT NULL THEN {table.raw} END AS {raw}
               FROM ({table.query})"""


def _text(column: str) -> str:
    return f"CAST({sql.name(column)} AS VARCHAR)"


def _counts(connection: duckdb.DuckDBPyConnection, name: str) -> tuple[int, dict[str, int]]:
    """(rows, reason -> quarantined rows), lines without fields included."""
    reason = sql.name(quarantine.REASON)
    found = connection.sql(
        f"""SELECT reason, sum(n)::BIGINT FROM (
                SELECT {reason} AS reason, count(*) AS n FROM {name} GROUP BY ALL
                UNION ALL SELECT {sql.text(quarantine.UNREADABLE_ROW)}, count(*)
                FROM ({rejects(connection)}) HAVING count(*) > 0)
            GROUP BY reason ORDER BY reason"""
    ).fetchall()
    return sum(n for _, n in found), {str(why): int(n) for why, n in found if why is not None}


def _unique(staged: list[_Staged]) -> str:
    first: dict[str, str] = {}
    for name in (name for one in staged for name in one.others):
        first.setdefault(name.lower(), name)
    others = first.values()
    columns = ", ".join(sql.name(name) for name in (*_OWN, *others))
    order = ", ".join(sql.name(name) for name in ("title", "text", *others))
    rows = " UNION ALL BY NAME ".join(f"FROM {one.name}" for one in staged)
    return f"""SELECT {columns} FROM ({rows}) WHERE {sql.name(quarantine.REASON)} IS NULL
        QUALIFY row_number() OVER (PARTITION BY item ORDER BY "text" = '', title = '', {order}) = 1
        ORDER BY item"""


def _write(
    items: pa.Table, into: Path, sources: tuple[Location, ...], staged: list[_Staged], notes: Sequence[str]
) -> ItemsReport:
    write_parquet(items, into / FILE)
    texts = zip(items["title"].to_pylist(), items["text"].to_pylist(), strict=True)
    rows = sum(one.rows for one in staged)
    quarantined: Counter[str] = Counter()
    for one in staged:
        quarantined.update(one.quarantined)
    return ItemsReport(
        sources=sources,
        rows_read=rows,
        items=items.num_rows,
        duplicates=rows - items.num_rows - quarantined.total(),
        quarantined=dict(sorted(quarantined.items())),
        notes=(*notes, *(note for one in staged for note in one.notes)),
        columns=tuple(items.column_names),
        without_text=sum(not (title + text).strip() for title, text in texts),
        checksum=checksum(items),
    )


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many events a log holds, how many are of items in the catalogue, and an item of each alone."""

    events: int
    known: int
    unknown_item: str | None
    catalogue_item: str | None


def overlap(log: Snapshot, items: Path) -> Overlap:
    """Compare a log that holds events with a catalogue (its Parquet file)."""
    with TemporaryDirectory() as scratch, sql.connect_spilling(Path(scratch)) as connection:
        connection.execute(f"CREATE TEMP TABLE catalogue AS SELECT item FROM {sql.parquet([items])}")
        counts = f"SELECT item, count(*) AS n FROM {log.scan} GROUP BY item"
        connection.execute(f"CREATE TEMP TABLE log AS {counts}")
        return Overlap(
            *sql.row(
                connection,
                """SELECT sum(n)::BIGINT, coalesce(sum(n) FILTER (item IN (FROM catalogue)), 0)::BIGINT,
                       max_by(item, n) FILTER (item NOT IN (FROM catalogue)),
                       (SELECT min(item) FROM catalogue WHERE item NOT IN (SELECT item FROM log))
                   FROM log""",
            )
        )
