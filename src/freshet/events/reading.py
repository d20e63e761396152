"""One source file, whatever its format, as a SQL query with named columns and numbered rows.

Text formats are read as text, so that what a value means doesn't depend on the other rows of its file.
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import duckdb

from freshet.errors import InputError
from freshet.events import sql
from freshet.events.formats import SourceFile

ROW = "freshet row"
"""Column with the 1-based number of a row among those that could be split into fields."""

_LINE = "freshet line"
_FIELDS = "freshet fields"
_DELIMITERS = ",\t;|"


@dataclass(frozen=True, slots=True)
class Table:
    """A source file as SQL.

    Attributes:
        path: the file.
        query: a SELECT with the columns below and ROW.
        columns: name -> DuckDB type, in the order of the file.
        broken: SQL boolean over the query: the row can't be read.
        raw: SQL text over the query: the row as JSON, or the line itself where it is broken.
    """

    path: Path
    query: str
    columns: dict[str, str]
    broken: str
    raw: str

    def find(self, column: str) -> str | None:
        """The file's spelling of a column name, or None."""
        return next((name for name in self.columns if name.lower() == column.lower()), None)


def open_table(connection: duckdb.DuckDBPyConnection, file: SourceFile) -> Table:
    """Look at a file's columns.

    Raises:
        InputError: the file is empty or damaged.
    """
    try:
        if file.kind == "parquet":
            return _parquet(connection, file.path)
        if file.kind == "jsonl":
            return _jsonl(connection, file.path)
        return _delimited(file)
    except (duckdb.Error, OSError, EOFError) as error:
        raise unreadable(file.path, error) from None


def refuse_lines(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """For a text file without a single field: no lines are fine, lines are not.

    Raises:
        InputError: there are lines, and none is a JSON object.
    """
    (lines,) = sql.row(connection, f"SELECT count(*) FROM ({table.query})")
    if lines:
        raise InputError(
            f"{table.path}: none of its {lines} lines is a JSON object",
            hint='write one object per line, such as {"user_id": "u1", "item_id": "i1", "timestamp": 0}',
        )


def unreadable(path: Path, error: Exception) -> InputError:
    """The error for a file that breaks the reader as a whole."""
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return InputError(
        f"{path} can't be read: {reason}",
        hint="check that the file is complete, in the format its name says, with one kind of line ending",
    )


def forget_rejects(connection: duckdb.DuckDBPyConnection) -> None:
    """Start a new list of rejected lines; call before a scan whose rejects matter."""
    connection.execute("DROP TABLE IF EXISTS reject_errors")
    connection.execute("DROP TABLE IF EXISTS reject_scans")


def rejects(connection: duckdb.DuckDBPyConnection) -> str:
    """A query for the lines that could not be split into fields: (line number, text)."""
    query = "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'reject_errors'"
    if sql.row(connection, query) == (0,):
        return "SELECT 0::BIGINT AS line, '' AS content WHERE false"
    return """SELECT line::BIGINT AS line, coalesce(min(csv_line), '') AS content
              FROM reject_errors GROUP BY line"""


def _parquet(connection: duckdb.DuckDBPyConnection, path: Path) -> Table:
    reader = f"read_parquet({sql.text(str(path))}, binary_as_string = true, hive_partitioning = false)"
    rows = connection.sql(f"DESCRIBE SELECT * FROM {reader}").fetchall()
    columns = {str(row[0]): str(row[1]) for row in rows}
    query = f"SELECT *, file_row_number + 1 AS {sql.name(ROW)} FROM {reader}"
    return Table(path, query, columns, "false", _as_json(list(columns)))


def _delimited(file: SourceFile) -> Table:
    header = list(file.header)
    delimiter = "::"
    if file.kind == "csv":
        header, delimiter = _header(file.path)
    options = {
        "auto_detect": "false",
        "header": "true" if file.kind == "csv" else "false",
        "delim": sql.text(delimiter),
        "quote": sql.text('"' if file.kind == "csv" else ""),
        "escape": sql.text('"' if file.kind == "csv" else ""),
        "columns": _typed(header),
        "encoding": sql.text("utf-8" if file.kind == "csv" else _encoding(file.path)),
    }
    return Table(
        file.path,
        _numbered(file.path, options),
        dict.fromkeys(header, "VARCHAR"),
        "false",
        _as_json(header),
    )


def _jsonl(connection: duckdb.DuckDBPyConnection, path: Path) -> Table:
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
    lines = f"FROM ({_numbered(path, options)}) WHERE trim({line}) <> ''"
    is_object = f"CASE WHEN json_valid({line}) THEN json_type({line}) = 'OBJECT' ELSE false END"
    document = f"CASE WHEN {is_object} THEN {line} END"
    found = connection.sql(
        f"SELECT DISTINCT unnest(json_keys({document})) AS key {lines} ORDER BY key"
    ).fetchall()
    keys = list({str(key).lower(): str(key) for (key,) in reversed(found)}.values())[::-1]
    pointers = sql.texts(["/" + key.replace("~", "~0").replace("/", "~1") for key in keys])
    fields = f"json_extract_string({document}, {pointers})" if keys else "NULL"
    chosen = "".join(
        f", {sql.name(_FIELDS)}[{index}] AS {sql.name(key)}" for index, key in enumerate(keys, start=1)
    )
    query = f"SELECT {sql.name(ROW)}, {line}{chosen} FROM (SELECT *, {fields} AS {sql.name(_FIELDS)} {lines})"
    columns = dict.fromkeys(keys, "VARCHAR")
    return Table(path, query, columns, f"(NOT {is_object})", line)


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


def _header(path: Path) -> tuple[list[str], str]:
    """Column names and delimiter of a CSV file, from its first record."""
    with _open(path, "utf-8-sig", "replace") as file:
        first = file.readline()
        if not first.strip():
            raise InputError(f"{path} is empty", hint="a CSV file starts with a line of column names")
        delimiter = max(_DELIMITERS, key=first.count)
        names = next(csv.reader([first], delimiter=delimiter))
    header = [name.strip() or f"column{index}" for index, name in enumerate(names, start=1)]
    twice = sorted({name for name in header if [n.lower() for n in header].count(name.lower()) > 1})
    if twice:
        raise InputError(
            f"{path} names the column {twice[0]!r} twice",
            hint="rename one of them in the first line",
        )
    return header, delimiter


def _encoding(path: Path) -> str:
    """`utf-8`, or `latin-1` where the bytes are not (as in MovieLens 1M)."""
    try:
        with _open(path, "utf-8", "strict") as file:
            while file.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _open(path: Path, encoding: str, errors: str) -> TextIO:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding=encoding, errors=errors, newline="")
    return path.open(encoding=encoding, errors=errors, newline="")
