"""Columns that folders' names hold, as Hive and Spark write them: `country=FR/dt=2024-01-31/part-0.csv`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

_FOLDER = re.compile(r"([A-Za-z_%][^=]*)=(.*)")
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
        match = _FOLDER.fullmatch(part)
        if match:
            name, value = (unquote(text) for text in match.groups())
            found[name.lower()] = Partition(name, None if value == _NULL else value)
    return tuple(found.values())
