"""What a source holds, wherever it lies: files that can be read, and those that are passed over, by name.

Names of folders may hold columns, as Hive and Spark write them: `country=FR/dt=2024-01-31/part-0.csv`.
Folders of Delta Lake, Iceberg and Hudi keep the files of deleted and replaced rows; which files count stands
in their own logs. Read as a plain folder, what was deleted would be events again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, Protocol
from urllib.parse import unquote

import duckdb

from freshet.core.errors import InputError
from freshet.core.urls import Location

NAMED = 5
"""So many of the files that are passed over are named."""
WORKSPACE = "freshet.toml"
"""A folder that holds it is a workspace: what Freshet has made lies in its sub-folders."""


class Content(Protocol):
    """What a file holds."""

    @property
    def size(self) -> int:
        """In bytes."""

    def version(self) -> str:
        """Names this very content."""

    def open(self) -> BinaryIO:
        """To be read anywhere."""

    def local(self, scratch: Path) -> Path:
        """The file itself where it lies on this machine, else a copy in a folder."""

    def in_sql(self, connection: duckdb.DuckDBPyConnection) -> str:
        """The name by which `read_parquet` reads it where it lies."""

    def reporting(self) -> AbstractContextManager[None]:
        """While a database reads it: what goes wrong in its store is raised as the store tells it."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a source."""

    path: Location
    content: Content


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that was found and isn't read."""

    path: Location
    why: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies at a source.

    Attributes:
        what: `other` is neither file nor folder, such as a pipe.
        base: from where the names of its files count: the folder, or a glob's part without signs.
        files: those that can be read, in the order of their paths.
        unread: those that are passed over.
        hidden: files among those, whose content may say what the others are.
    """

    what: Literal["file", "folder", "glob", "other", "nothing"]
    base: Location
    files: tuple[Found, ...] = ()
    unread: tuple[Unread, ...] = ()
    hidden: tuple[Found, ...] = ()


def note_unread(source: Location, unread: Sequence[Unread], what: str) -> tuple[str, ...]:
    """A sentence about files that aren't read as `what`; none if there are none."""
    if not unread:
        return ()
    named = ", ".join(f"{one.path.name} ({one.why})" if one.why else one.path.name for one in unread[:NAMED])
    more = f" and {len(unread) - NAMED} more" if len(unread) > NAMED else ""
    files = "1 file" if len(unread) == 1 else f"{len(unread)} files"
    return (f"{source.name or source}: {files} not read as {what}: {named}{more}",)


_SIGNS = "*?["


def fixed_parts(parts: Sequence[str]) -> int:
    """How many parts of a glob come before the first with a sign; all where none has one."""
    return next(
        (index for index, part in enumerate(parts) if any(sign in part for sign in _SIGNS)), len(parts)
    )


_DELTA, _HUDI, _ICEBERG = "_delta_log", ".hoodie", "metadata"
_FIRST = "00000000000000000000.json"
_REMOVES = re.compile(r'^\s*\{\s*"remove"\s*:', re.MULTILINE)


def refuse_table_formats(found: Iterable[Found]) -> None:
    """Refuse the files of a folder that may hold what its table no longer does.

    A Delta Lake table that never removed a file is the sum of its files, and passes.

    Args:
        found: all files, hidden ones included.

    Raises:
        InputError: it is such a table.
    """
    logs: dict[Location, list[Found]] = {}
    for file in found:
        path = file.path
        if path.parent.name == _DELTA:
            logs.setdefault(path.parent, []).append(file)
        elif path.parent.name == _ICEBERG and path.name.endswith(".metadata.json"):
            raise _refused_table(path.parent.parent, "an Iceberg table")
        elif _HUDI in path.parts:
            folder: Location = path
            while folder.name != _HUDI:
                folder = folder.parent
            raise _refused_table(folder.parent, "a Hudi table")
    for log, files in logs.items():
        commits = [file for file in files if file.path.suffix == ".json"]
        whole = any(file.path.name == _FIRST for file in commits)
        if not whole or any(_removes(file.content) for file in commits):
            raise _refused_table(log.parent, "a Delta Lake table")


def _removes(commit: Content) -> bool:
    with commit.open() as file:
        return _REMOVES.search(file.read().decode("utf-8", "replace")) is not None


def _refused_table(folder: Location, what: str) -> InputError:
    return InputError(
        f"{folder} is {what}: its files also hold rows that were deleted or replaced since",
        hint="export what the table holds now as Parquet, and import that; to import all of its files "
        "nevertheless, name them by a glob such as 'table/*.parquet'",
    )


_PARTITION = re.compile(r"([A-Za-z_%][^=]*)=(.*)")
_NULL = "__HIVE_DEFAULT_PARTITION__"


class Partition(NamedTuple):
    """A column with one value for a whole file; None is SQL's NULL."""

    name: str
    value: str | None


def partitions(path: Location) -> tuple[Partition, ...]:
    """The columns in the names of a file's folders, outermost first; of one name twice, the innermost.

    The folders count from the root, so that a file has the same columns however it is named.
    """
    parts = path.absolute().parts if isinstance(path, Path) else path.parts
    found: dict[str, Partition] = {}
    for part in parts[:-1]:
        match = _PARTITION.fullmatch(part)
        if match:
            name, value = (unquote(text) for text in match.groups())
            found[name.lower()] = Partition(name, None if value == _NULL else value)
    return tuple(found.values())
