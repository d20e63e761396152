"""Files on disk: below a folder, or matching a glob; what is passed over is named.

Names of folders may hold columns, as Hive and Spark write them: `country=FR/dt=2024-01-31/part-0.csv`.
Folders of Delta Lake, Iceberg and Hudi keep the files of deleted and replaced rows; which files count stands
in their own logs. Read as a plain folder, what was deleted would be events again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import unquote

from freshet.core.errors import InputError

_NAMED = 5
_WORKSPACE = "freshet.toml"


@dataclass(frozen=True, slots=True, order=True)
class Unread:
    """A file that was found and isn't read."""

    path: Path
    why: str


def note_unread(source: Path, unread: Sequence[Unread], what: str) -> tuple[str, ...]:
    """A sentence about files that aren't read as `what`; none if there are none."""
    if not unread:
        return ()
    named = ", ".join(f"{one.path.name} ({one.why})" if one.why else one.path.name for one in unread[:_NAMED])
    more = f" and {len(unread) - _NAMED} more" if len(unread) > _NAMED else ""
    files = "1 file" if len(unread) == 1 else f"{len(unread)} files"
    return (f"{source.name or source}: {files} not read as {what}: {named}{more}",)


def walk(source: Path) -> tuple[list[Path], list[Unread]]:
    """Files below a folder or matching a glob (of folders: those below them), and what is passed over.

    Links are followed, each file and folder once. Of a workspace the files are looked at, not the folders,
    which hold what Freshet has made.

    Raises:
        InputError: a folder can't be read.
    """
    tops = [source] if source.is_dir() else _glob(source)
    seen: set[str] = set()
    found: list[Path] = []
    unread: list[Unread] = []
    for top in sorted(tops):
        for path in sorted(_below(top, seen)) if top.is_dir() else [top]:
            why = _passed_over(path, top, seen)
            if why:
                unread.append(Unread(path, why))
            else:
                found.append(path)
            seen.add(os.path.realpath(path))
    return found, unread


def _below(folder: Path, seen: set[str]) -> list[Path]:
    found = []
    for where, folders, names in os.walk(folder, followlinks=True, onerror=_fail):
        seen.add(os.path.realpath(where))
        if _WORKSPACE in names:
            names = [*(name for name in names if name != _WORKSPACE), *folders]
            folders.clear()
        folders[:] = [one for one in folders if os.path.realpath(Path(where, one)) not in seen]
        found += [Path(where, name) for name in names]
    return found


def _passed_over(path: Path, top: Path, seen: set[str]) -> str:
    parts = path.relative_to(top).parts if path != top else (path.name,)
    if any(part.startswith((".", "_")) for part in parts):
        return "hidden"
    if path.is_dir():
        return "a folder of a workspace"
    if not path.is_file():
        return "a link to nothing" if path.is_symlink() else "no regular file"
    return "a link to a file that is read" if os.path.realpath(path) in seen else ""


def _fail(error: OSError) -> NoReturn:
    raise InputError(f"{error.filename} can't be read: {error.strerror}", hint="check its permissions")


def fixed_part(pattern: Path) -> Path:
    """The part of a glob in front of the first part with a sign; a path without signs is fixed."""
    parts = pattern.parts
    magic = [index for index, part in enumerate(parts) if any(sign in part for sign in "*?[")]
    return Path(*parts[: magic[0]]) if magic and not pattern.exists() else pattern


def _glob(pattern: Path) -> list[Path]:
    base = fixed_part(pattern)
    return list(base.glob(str(pattern.relative_to(base)))) if base != pattern else []


_DELTA, _HUDI, _ICEBERG = "_delta_log", ".hoodie", "metadata"
_FIRST = "00000000000000000000.json"
_REMOVES = re.compile(r'^\s*\{\s*"remove"\s*:', re.MULTILINE)


def refuse_table_formats(paths: Iterable[Path]) -> None:
    """Refuse the files of a folder that may hold what its table no longer does.

    A Delta Lake table that never removed a file is the sum of its files, and passes.

    Args:
        paths: all files that were found, hidden ones included.

    Raises:
        InputError: it is such a table.
    """
    logs: dict[Path, list[Path]] = {}
    for path in paths:
        if path.parent.name == _DELTA:
            logs.setdefault(path.parent, []).append(path)
        elif path.parent.name == _ICEBERG and path.name.endswith(".metadata.json"):
            raise _refused_table(path.parents[1], "an Iceberg table")
        elif _HUDI in path.parts:
            raise _refused_table(Path(*path.parts[: path.parts.index(_HUDI)]), "a Hudi table")
    for log, files in logs.items():
        commits = [file for file in files if file.suffix == ".json"]
        whole = any(file.name == _FIRST for file in commits)
        if not whole or any(_REMOVES.search(file.read_text("utf-8", "replace")) for file in commits):
            raise _refused_table(log.parent, "a Delta Lake table")


def _refused_table(folder: Path, what: str) -> InputError:
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


def partitions(path: Path) -> tuple[Partition, ...]:
    """The columns in the names of a file's folders, outermost first; of one name twice, the innermost.

    The folders count from the root, so that a file has the same columns however it is named.
    """
    found: dict[str, Partition] = {}
    for part in path.absolute().parts[:-1]:
        match = _PARTITION.fullmatch(part)
        if match:
            name, value = (unquote(text) for text in match.groups())
            found[name.lower()] = Partition(name, None if value == _NULL else value)
    return tuple(found.values())
