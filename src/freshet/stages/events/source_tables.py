"""One source file, whatever its format, as a SQL query with named columns and numbered rows.

Text formats are read as text, so that what a value means doesn't depend on the other rows of its file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from freshet.core.errors import InputError
from freshet.core.urls import Location
from freshet.stages.events.csv_text import Dialect, RefusedLines
from freshet.stages.events.formats import DAMAGED, SourceFile, suffixes, unpacked
from freshet.stages.events.source_listing import Partition
from freshet.stages.events.text_files import Text, ready
from freshet.storage import sql

ROW = "freshet row"
"""Column with the 1-based number of a row among those that could be split into fields."""

_LINE = "freshet line"
_FIELDS = "freshet fields"
_REFUSED = "refused_lines"


@dataclass(frozen=True, slots=True)
class Table:
    """A source file as SQL.

    Attributes:
        path: the file.
        query: a SELECT with the columns below and ROW.
        columns: name -> DuckDB type, in the order of the file.
        broken: SQL boolean over the query: the row can't be read.
        raw: SQL text over the query: the row as JSON, or the line itself where it is broken.
        repeated: SQL boolean over the query: the row repeats the header, as in files put together.
        partitions: those of the columns that are in the names of the file's folders.
        nested: column -> SQL boolean over the query: the cell is neither text nor a number;
            a column that isn't there has no such cell.
        notes: what was assumed about the file.
        in_columns: of a Parquet file the name that SQL reads it by, '' for others: columns that a query does
            not ask for are not read, so what needs all of them (`raw`) is best asked for few rows.
    """

    path: Location
    query: str
    columns: dict[str, str]
    broken: str
    raw: str
    repeated: str = "false"
    partitions: frozenset[str] = frozenset()
    nested: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    in_columns: str = ""

    def find(self, column: str) -> str | None:
        """The file's spelling of a column name, or None."""
        return next((name for name in self.columns if name.lower() == column.lower()), None)


def open_table(
    connection: duckdb.DuckDBPyConnection, file: SourceFile, scratch: Path, encoding: str
) -> Table:
    """Look at a file's columns.

    Args:
        scratch: folder for copies, which must stay while the table is read.
        encoding: [events] encoding.

    Raises:
        InputError: the file is empty or damaged, or it isn't clear how it is written.
    """
    try:
        if file.kind == "parquet":
            table = _parquet(connection, file, scratch)
            refused: RefusedLines = []
        else:
            text = ready(file, unpacked(file, scratch), scratch, encoding)
            refused = text.refused
            table = _jsonl(connection, file.path, text) if "json" in file.kind else _delimited(file, text)
    except (duckdb.Error, *DAMAGED) as error:
        raise unreadable(file.path, error) from None
    for name in table.columns:
        if "\0" in name:
            raise InputError(
                f"{file.path}: the name of column {name!r} holds a NUL character",
                hint="the file is damaged, or in an encoding that [events] encoding has to name",
            )
    _remember(connection, refused)
    return _with(table, file.partitions)


def refuse_lines(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """For a text file without a single field: no lines are fine, lines are not.

    Raises:
        InputError: there are lines, and none is a JSON object.
    """
    forget_rejects(connection)
    (lines,) = sql.row(connection, f"SELECT count(*) FROM ({table.query})")
    (too_long,) = sql.row(connection, f"SELECT count(*) FROM ({rejects(connection)})")
    lines += too_long
    if lines:
        raise InputError(
            f"{table.path}: none of its {lines} lines is a JSON object",
            hint='write one object per line, such as {"user_id": "u1", "item_id": "i1", "timestamp": 0}',
        )


def unreadable(path: Location, error: Exception) -> InputError:
    """The error for a file that breaks the reader as a whole."""
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return InputError(
        f"{path} can't be read: {reason}",
        hint="check that the file is complete, and in the format that its name says",
    )


def forget_rejects(connection: duckdb.DuckDBPyConnection) -> None:
    """Start a new list of rejected lines; call before a scan whose rejects matter."""
    connection.execute("DROP TABLE IF EXISTS reject_errors")
    connection.execute("DROP TABLE IF EXISTS reject_scans")


def rejects(connection: duckdb.DuckDBPyConnection) -> str:
    """A query for the lines that could not be split into fields: (line number, text)."""
    known = {str(name) for (name,) in connection.sql("SELECT table_name FROM duckdb_tables()").fetchall()}
    queries = ["SELECT 0::BIGINT AS line, '' AS content WHERE false"]
    if _REFUSED in known:
        queries.append(f"SELECT line, content FROM {_REFUSED}")
    if "reject_errors" in known:
        queries.append(
            """SELECT line::BIGINT AS line, coalesce(min(csv_line), '') AS content
               FROM reject_errors GROUP BY line"""
        )
    return " UNION ALL ".join(queries)


def _remember(connection: duckdb.DuckDBPyConnection, refused: RefusedLines) -> None:
    """Keep the lines that never reach the database where `rejects` finds them."""
    lines, texts = zip(*refused, strict=True) if refused else ((), ())
    table = pa.table({"line": pa.array(lines, pa.int64()), "content": pa.array(texts, pa.string())})
    connection.register("refused", table)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_REFUSED} AS SELECT * FROM refused")
    connection.unregister("refused")


def _with(table: Table, partitions: tuple[Partition, ...]) -> Table:
    """The table with the columns in its folders' names; a column of the file itself goes before."""
    if not table.columns:
        return table
    new = [one for one in partitions if table.find(one.name) is None]
    notes = tuple(
        f"{table.path.name}: column {one.name!r} is read from the file, not from the name of its folder"
        for one in partitions
        if one not in new
    )
    chosen = "".join(
        f", CAST({'NULL' if one.value is None else sql.text(one.value)} AS VARCHAR) AS {sql.name(one.name)}"
        for one in new
    )
    return replace(
        table,
        query=f"SELECT *{chosen} FROM ({table.query})",
        columns=table.columns | {one.name: "VARCHAR" for one in new},
        partitions=frozenset(one.name for one in new),
        notes=(*table.notes, *notes),
    )


def _parquet(connection: duckdb.DuckDBPyConnection, file: SourceFile, scratch: Path) -> Table:
    packed = suffixes(file.path)[1]
    place = str(unpacked(file, scratch)) if packed else file.content.in_sql(connection)
    reader = f"read_parquet({sql.text(place)}, binary_as_string = true, hive_partitioning = false)"
    rows = connection.sql(f"DESCRIBE SELECT * FROM {reader}").fetchall()
    columns = {str(row[0]): str(row[1]) for row in rows}
    query = f"SELECT *, file_row_number + 1 AS {sql.name(ROW)} FROM {reader}"
    return Table(file.path, query, columns, "false", _as_json(list(columns)), in_columns=place)


def _delimited(file: SourceFile, text: Text) -> Table:
    header = list(text.dialect.header)
    options = {
        "auto_detect": "false",
        "header": "false",
        "skip": str(text.dialect.skip),
        "delim": sql.text(text.dialect.delimiter),
        "quote": sql.text('"' if file.kind == "csv" else ""),
        "escape": sql.text('"' if file.kind == "csv" else ""),
        "columns": _typed(header),
    }
    cells = [f"trim({sql.name(name)})" for name in header]
    cells[0] = f"replace({cells[0]}, '\ufeff', '')"  # of a file put behind another
    again = " AND ".join(
        f"coalesce({cell}, '') = {sql.text(name)}" for cell, name in zip(cells, header, strict=True)
    )
    return Table(
        file.path,
        _numbered(text.path, options),
        dict.fromkeys(header, "VARCHAR"),
        "false",
        _as_json(header),
        repeated=f"({again})" if file.kind == "csv" else "false",
        notes=text.notes,
    )


def json_lines(connection: duckdb.DuckDBPyConnection, path: Path, shown: Path, keys: frozenset[str]) -> Table:
    """A file that is known to be UTF-8 with a text on each line, none of them empty.

    Args:
        shown: names it in errors and notes.
        keys: of the objects that are read, in small letters without `_`; there may be thousands of others.
    """
    _remember(connection, [])
    return _jsonl(connection, shown, Text(path, Dialect((), 0, "\x01", "")), keys)


def _jsonl(
    connection: duckdb.DuckDBPyConnection, shown: Location, text: Text, wanted: frozenset[str] | None = None
) -> Table:
    # Each line is read as one field: raw control characters are not JSON, so \x01 separates nothing.
    options = {
        "auto_detect": "false",
        "header": "false",
        "delim": sql.text("\x01"),
        "quote": "''",
        "escape": "''",
        "strict_mode": "false",
        "columns": _typed([_LINE]),
    }
    line = sql.name(_LINE)
    lines = f"FROM ({_numbered(text.path, options)}) WHERE trim({line}) <> ''"
    is_object = f"CASE WHEN json_valid({line}) THEN json_type({line}) = 'OBJECT' ELSE false END"
    document = f"CASE WHEN {is_object} THEN {line} END"
    found = connection.sql(
        f"SELECT DISTINCT unnest(json_keys({document})) AS key {lines} ORDER BY key"
    ).fetchall()
    keys = list({str(key).lower(): str(key) for (key,) in reversed(found)}.values())[::-1]
    if wanted is not None:
        keys = [key for key in keys if key.lower().replace("_", "") in wanted]
    pointers = {key: "/" + key.replace("~", "~0").replace("/", "~1") for key in keys}
    fields = f"json_extract_string({document}, {sql.texts(list(pointers.values()))})" if keys else "NULL"
    chosen = "".join(
        f", {sql.name(_FIELDS)}[{index}] AS {sql.name(key)}" for index, key in enumerate(keys, start=1)
    )
    query = f"SELECT {sql.name(ROW)}, {line}{chosen} FROM (SELECT *, {fields} AS {sql.name(_FIELDS)} {lines})"
    nested = {
        key: f"coalesce(json_type({document}, {sql.text(pointer)}) IN ('OBJECT', 'ARRAY', 'BOOLEAN'), false)"
        for key, pointer in pointers.items()
    }
    return Table(
        shown,
        query,
        dict.fromkeys(keys, "VARCHAR"),
        f"(NOT {is_object})",
        line,
        nested=nested,
        notes=text.notes,
    )


def _numbered(path: Path, options: dict[str, str]) -> str:
    listed = ", ".join(f"{key} = {value}" for key, value in options.items())
    return (
        f"SELECT *, row_number() OVER () AS {sql.name(ROW)} "
        f"FROM read_csv({sql.text(str(path))}, {listed}, store_rejects = true, rejects_limit = 0)"
    )


def _typed(columns: list[str]) -> str:
    return "{" + ", ".join(f"{sql.text(column)}: 'VARCHAR'" for column in columns) + "}"


def _as_json(columns: list[str]) -> str:
    pairs = ", ".join(f"{sql.text(name)}, CAST({sql.name(name)} AS VARCHAR)" for name in columns)
    return f"CAST(json_object({pairs}) AS VARCHAR)"
