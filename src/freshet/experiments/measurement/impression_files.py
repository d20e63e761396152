"""Files of impressions: where they lie, what a row holds, and which of them can be read.

A file that can't be read must not hold up what is made of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from freshet.core.errors import ArtifactError
from freshet.core.time import date_of
from freshet.storage import sql

IMPRESSIONS = "impressions"
"""Folder of what was shown: `date=YYYY-MM-DD/*.parquet`."""

SHOWN = pa.schema(
    [
        ("id", pa.string()),
        ("time", pa.timestamp("us")),
        ("user", pa.string()),
        ("release", pa.int64()),
        ("context", pa.list_(pa.int32())),
        ("answered", pa.string()),
        ("explored", pa.bool_()),
        ("place", pa.int32()),
        ("interest", pa.int32()),
        ("score", pa.float64()),
        ("propensity", pa.float64()),
        ("reason", pa.string()),
        ("items", pa.list_(pa.string())),
        ("experiment", pa.dictionary(pa.int32(), pa.string())),
        ("arm", pa.dictionary(pa.int32(), pa.string())),
        ("user_key", pa.uint64()),
    ]
)
"""One row for each interest of an answer; `place` counts from 0, times are UTC as in the log.

An answer outside all experiments has '' for experiment and arm. `user_key` is `types.user_number`, 0 without
a user. Files written before a column existed lack it.
"""


@dataclass(frozen=True, slots=True)
class ImpressionFile:
    """A readable file of impressions of one day."""

    path: Path
    day: date
    columns: frozenset[str]


def files(
    source: Path, first: date = date.min, last: date = date.max
) -> tuple[list[ImpressionFile], list[Path]]:
    """Files of a workspace's folder from one day to another, in order; and those that can't be read.

    The latter are not whole, or lie in no day's folder.
    """
    readable: list[ImpressionFile] = []
    unreadable: list[Path] = []
    for path in sorted((source / IMPRESSIONS).glob("*/*.parquet")):
        day = _day_of_folder(path.parent)
        if day is not None and not first <= day <= last:
            continue
        columns = columns_of(path)
        if day is None or columns is None:
            unreadable.append(path)
        else:
            readable.append(ImpressionFile(path, day, columns))
    return readable, unreadable


def columns_of(path: Path) -> frozenset[str] | None:
    """Columns of a file; None where it isn't whole, or has other columns than `SHOWN`.

    The end of a Parquet file is written last.
    """
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException):
        return None
    found = frozenset(map(str, schema.names))
    if len(found) < len(schema.names):  # two of one name
        return None
    known = found.intersection(SHOWN.names)
    fits = all(_sort(schema.field(name).type) == _sort(SHOWN.field(name).type) for name in known)
    return found if fits else None


def _sort(kind: pa.DataType) -> str:
    """Types that are read as each other, whatever their width."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list of {_sort(kind.value_type)}"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    return "time" if pa.types.is_timestamp(kind) else str(kind)


def rows_sql(db: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> str:
    """SQL: rows of files with all columns of `SHOWN`, null where a file lacks one; valid in this database."""
    db.register("empty_shown", SHOWN.empty_table())
    return "FROM empty_shown" + (f" UNION ALL BY NAME FROM {sql.parquet([*paths])}" if paths else "")


def shown_since(source: Path, moment: int) -> int:
    """Answers shown to known users since a moment (microseconds since 1970), as far as they were collected.

    Raises:
        ArtifactError: a file is damaged.
    """
    paths = [one.path for one in files(source, date_of(moment))[0]]
    if not paths:
        return 0
    rule = f"place = 0 AND time >= make_timestamp({moment}) AND \"user\" <> ''"
    try:
        with sql.connect() as db:
            return int(sql.row(db, f"SELECT count(*) FROM {sql.parquet(paths)} WHERE {rule}")[0])
    except duckdb.Error as error:
        raise ArtifactError(
            f"impressions can't be read: {error}",
            hint="`freshet doctor` names damaged files, `--repair` moves them aside",
        ) from None


def _day_of_folder(folder: Path) -> date | None:
    """The day that a folder `date=YYYY-MM-DD` holds; None if it is no such folder."""
    name, _, day = folder.name.partition("=")
    try:
        return date.fromisoformat(day) if name == "date" else None
    except ValueError:
        return None
