"""Takes a person's rows out of quarantine, whose rows are as they came: JSON of any shape, or a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from freshet.core import config
from freshet.core.types.ids import plain_id
from freshet.stages.events.columns import named_columns
from freshet.stages.events.parquet_files import as_written, checksum, write_parquet
from freshet.stages.events.rule import parse

QUARANTINE = "quarantine"


class OfPeople:
    """Whether a refused row is of one of some people.

    Where the row has a column of users, that alone decides. Else any of its values may be the id; and a line
    that is no row is theirs where it holds the id with nothing but a letter or digit left out around it.

    Args:
        ids: of the people, by the rule of the log.
        columns: `[events.columns]`.
    """

    def __init__(self, ids: Collection[str], columns: config.Columns) -> None:
        self._ids = frozenset(ids)
        self._user = named_columns(columns, parse("value > 0"), part="user")

    def __call__(self, raw: str | None) -> bool:
        if not raw:
            return False
        try:
            found = json.loads(raw, parse_float=str, parse_int=str)
        except (ValueError, RecursionError):
            return any(stands_in(id, raw) for id in self._ids)
        if isinstance(found, dict):
            users = [value for name, value in found.items() if self._is_user(name)]
            if any(plain_id(str(value)) for value in users if value is not None):
                return any(self._is(value) for value in users)
        return any(self._is(value) for value in _values(found))

    def _is_user(self, name: str) -> bool:
        return name.lower().replace("_", "") in self._user

    def _is(self, value: Any) -> bool:
        return value is not None and plain_id(str(value)) in self._ids


def stands_in(id: str, text: str) -> bool:
    """Whether an id stands in a text by itself: `u1` does in `a,u1,b`, not in `u12`."""
    at = text.find(id)
    while at >= 0:
        end = at + len(id)
        before, after = text[at - 1 : at] if at else "", text[end : end + 1]
        if not (_joins(before) and _joins(id[:1])) and not (_joins(after) and _joins(id[-1:])):
            return True
        at = text.find(id, at + 1)
    return False


def _joins(character: str) -> bool:
    """Whether it would be a part of a longer id beside another such character."""
    return character.isalnum() or character == "_"


def _values(found: Any) -> Iterator[Any]:
    if isinstance(found, dict):
        for value in found.values():
            yield from _values(value)
    elif isinstance(found, list):
        for value in found:
            yield from _values(value)
    else:
        yield found


def without_rows(root: Path, mine: Callable[[str | None], bool]) -> int:
    """Take rows out of all quarantine files of a workspace; returns how many. Files keep names by content.

    A file that can't be read goes as a whole: nobody can tell whose rows it holds.
    """
    gone = 0
    for path in sorted((root / QUARANTINE).glob("*.parquet")):
        try:
            table = pq.read_table(path)
            raws = table["raw"].cast(pa.string()).to_pylist()
        except (OSError, pa.ArrowException, KeyError):
            path.unlink()
            continue
        keep = [not mine(raw) for raw in raws]
        if all(keep):
            continue
        gone += len(keep) - sum(keep)
        left = table.filter(pa.array(keep))
        if left.num_rows:
            left = left.cast(as_written(left.schema)).combine_chunks()
            name = f"{path.stem.rpartition('-')[0]}-{checksum(left)}.parquet"
            write_parquet(left, path.with_name(name))
        path.unlink()
    return gone
