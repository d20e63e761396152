"""The catalogue: one row per item with its title, its text and every other column of the source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa

from freshet import config
from freshet.events import sql
from freshet.events.columnar import checksum, write_parquet
from freshet.events.columns import ItemColumns, item_columns
from freshet.events.formats import item_file
from freshet.events.reading import Table, forget_rejects, open_table, refuse_lines, rejects, unreadable
from freshet.events.staging import as_text

FILE = "items.parquet"
_OWN = ("item", "title", "text")
_SCHEMA = pa.schema([(name, pa.large_string()) for name in _OWN])


@dataclass(frozen=True, slots=True)
class ItemsReport:
    """What an import of items did; rows_read = items + duplicates + all quarantined.

    Attributes:
        quarantined: reason -> rows left out.
        columns: columns of the written table.
        without_text: items with neither title nor text.
        checksum: hash of the table's content.
    """

    source: Path | None
    rows_read: int
    items: int
    duplicates: int
    quarantined: dict[str, int]
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    without_text: int
    checksum: str


def import_items(source: Path | None, settings: config.Events, into: Path) -> ItemsReport:
    """Write `into/items.parquet`: item (unique, sorted), title, text, and the source's other columns as text.

    Of several rows of one item the first in the order of their content stays, rows with text before rows
    without. Titles and texts are never null.

    Args:
        source: item file, or a folder that holds one; None writes an empty table.

    Raises:
        InputError: the source can't be read as configured.
    """
    if source is None:
        return _write(_SCHEMA.empty_table(), into, None, 0, {}, ())
    file = item_file(source)
    with TemporaryDirectory() as scratch, sql.connect(Path(scratch)) as connection:
        table = open_table(connection, file)
        if not table.columns:
            refuse_lines(connection, table)
            return _write(
                _SCHEMA.empty_table(), into, file.path, 0, {}, (f"{file.path.name} holds no items",)
            )
        columns = item_columns(table, settings.item_columns)
        others = [name for name in table.columns if _is_other(name, columns)]
        forget_rejects(connection)
        try:
            connection.execute(f"CREATE TEMP TABLE staged AS {_selected(table, columns, others)}")
            rows, nameless, broken = _counts(connection)
            items = connection.sql(_unique(others)).to_arrow_table()
        except duckdb.Error as error:
            raise unreadable(file.path, error) from None
    quarantined = {"missing item": nameless, "unreadable row": broken}
    notes = [*columns.notes, *_left_out(table, columns, file.path)]
    if not items.num_rows:
        notes.append(f"{file.path.name} holds no items")
    return _write(items, into, file.path, rows, {why: n for why, n in quarantined.items() if n}, tuple(notes))


def _is_other(name: str, columns: ItemColumns) -> bool:
    return name not in (columns.item, columns.title, columns.text) and name.lower() not in _OWN


def _left_out(table: Table, columns: ItemColumns, path: Path) -> list[str]:
    used = (columns.item, columns.title, columns.text)
    return [
        f"{path.name}: column {name!r} is left out, {used[_OWN.index(name.lower())]!r} takes its name"
        for name in table.columns
        if name.lower() in _OWN and name not in used
    ]


def _selected(table: Table, columns: ItemColumns, others: list[str]) -> str:
    title = f"coalesce({_text(columns.title)}, '')" if columns.title else "''"
    text = f"coalesce({_text(columns.text)}, '')" if columns.text else "''"
    if columns.text and columns.text.lower() == "genres":  # MovieLens: Action|Comedy
        text = f"replace({text}, '|', ' ')"
    kept = "".join(f", {_text(name)} AS {sql.name(name)}" for name in others)
    return f"""SELECT {as_text(table, columns.item)} AS item, {title} AS title, {text} AS "text"{kept},
                      {table.broken} AS "freshet broken" FROM ({table.query})"""


def _text(column: str) -> str:
    return f"CAST({sql.name(column)} AS VARCHAR)"


_NAMED = "NOT \"freshet broken\" AND trim(coalesce(item, '')) <> ''"


def _counts(connection: duckdb.DuckDBPyConnection) -> tuple[int, int, int]:
    """(rows, rows without id, unreadable rows)"""
    rows, nameless, broken, rejected = sql.row(
        connection,
        f"""SELECT count(*), coalesce(count_if(NOT ({_NAMED}) AND NOT "freshet broken"), 0),
                   coalesce(count_if("freshet broken"), 0),
                   (SELECT count(*) FROM ({rejects(connection)})) FROM staged""",
    )
    return rows + rejected, nameless, broken + rejected


def _unique(others: list[str]) -> str:
    columns = ", ".join(sql.name(name) for name in (*_OWN, *others))
    order = ", ".join(sql.name(name) for name in ("title", "text", *others))
    return f"""SELECT {columns} FROM staged WHERE {_NAMED}
        QUALIFY row_number() OVER (PARTITION BY item ORDER BY "text" = '', title = '', {order}) = 1
        ORDER BY item"""


def _write(
    items: pa.Table,
    into: Path,
    source: Path | None,
    rows: int,
    quarantined: dict[str, int],
    notes: tuple[str, ...],
) -> ItemsReport:
    write_parquet(items, into / FILE)
    texts = zip(items["title"].to_pylist(), items["text"].to_pylist(), strict=True)
    return ItemsReport(
        source=source,
        rows_read=rows,
        items=items.num_rows,
        duplicates=rows - items.num_rows - sum(quarantined.values()),
        quarantined=quarantined,
        notes=notes,
        columns=tuple(items.column_names),
        without_text=sum(not (title + text).strip() for title, text in texts),
        checksum=checksum(items),
    )
