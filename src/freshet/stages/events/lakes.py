"""Folders of table formats, whose Parquet files hold more than the table does.

Delta Lake, Iceberg and Hudi keep the files of deleted and replaced rows; which files count stands in their
own logs. Read as a plain folder, what was deleted would be events again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from freshet.core.errors import InputError

_DELTA, _HUDI, _ICEBERG = "_delta_log", ".hoodie", "metadata"
_FIRST = "00000000000000000000.json"
_REMOVES = re.compile(r'^\s*\{\s*"remove"\s*:', re.MULTILINE)


def refuse(paths: Iterable[Path]) -> None:
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
            raise _refused(path.parents[1], "an Iceberg table")
        elif _HUDI in path.parts:
            raise _refused(Path(*path.parts[: path.parts.index(_HUDI)]), "a Hudi table")
    for log, files in logs.items():
        commits = [file for file in files if file.suffix == ".json"]
        whole = any(file.name == _FIRST for file in commits)
        if not whole or any(_REMOVES.search(file.read_text("utf-8", "replace")) for file in commits):
            raise _refused(log.parent, "a Delta Lake table")


def _refused(folder: Path, what: str) -> InputError:
    return InputError(
        f"{folder} is {what}: its files also hold rows that were deleted or replaced since",
        hint="export what the table holds now as Parquet, and import that; to import all of its files "
        "nevertheless, name them by a glob such as 'table/*.parquet'",
    )
