"""A release as Parquet files, for queries and joins: a folder for each release, and a pointer to the newest.

docs/reference/export.md describes the columns.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freshet.backends.export_targets.file_places import leftovers, scratch_of
from freshet.core.ports import FilePlace, GivenRelease, Progress, RowBlock, Written

POINTER = "CURRENT.json"
ROWS, INTERESTS, ITEMS = "rows.parquet", "interests.parquet", "items.parquet"

_FOLDER = re.compile(r"release-[0-9]+-[0-9a-f]{8}/")
_TOGETHER = 10_000
"""Contexts written at a time: at 64 successors 640,000 rows, one row group."""

ROW_SCHEMA = pa.schema(
    [
        ("last", pa.dictionary(pa.int32(), pa.int32())),
        ("context", pa.dictionary(pa.int32(), pa.string())),
        ("rank", pa.int16()),
        ("interest", pa.int32()),
        ("score", pa.float32()),
    ]
)
"""One row per context and successor: `last` is the last interest of the context, null where it is empty;
`context` its ids with commas between, most recent last; `rank` counts from 0. What repeats from row to row is
a dictionary in memory; readers find plain columns."""


class ParquetTarget:
    """Folders `release-N-XXXXXXXX` in a place, and `CURRENT.json`, which names the one to read.

    The folder that was current before stays, so that queries which began on it end well; older ones go.
    """

    def __init__(self, place: FilePlace) -> None:
        self._place = place
        self.name = place.name

    def write(self, given: GivenRelease, progress: Progress) -> Written:
        """Write a folder of files, then the pointer."""
        old = self._current()
        folder = f"release-{given.number}-{uuid4().hex[:8]}"
        with scratch_of(self._place) as scratch:
            written = 1 + _write_rows(given, scratch / ROWS, progress)
            _write_interests(given, scratch / INTERESTS)
            _write_items(given, scratch / ITEMS)
            files = {name: (scratch / name).stat().st_size for name in (ROWS, INTERESTS, ITEMS)}
            for name in files:
                self._place.take(scratch / name, f"{folder}/{name}")
            pointer = {"schema": 1, "folder": folder, "files": files, "rows": written - 1, "k": given.k}
            content = json.dumps(pointer | {"release": given.about}, indent=1, ensure_ascii=False)
            self._place.put(POINTER, f"{content}\n".encode())
        kept = (f"{folder}/", f"{old}/")
        stale = [
            name
            for name in self._place.names("release-")
            if _FOLDER.match(name) and not name.startswith(kept)
        ]
        self._place.remove([*stale, *leftovers(self._place)])
        return Written(len(given.contexts), sum(files.values()), f"{self.name}/{folder}")

    def _current(self) -> str:
        """The folder that readers are told to read; '' where there is none."""
        try:
            found = json.loads(self._place.read(POINTER) or b"{}")
        except (ValueError, RecursionError):
            return ""
        return str(found.get("folder", "")) if isinstance(found, dict) else ""


def _write_rows(given: GivenRelease, path: Path, progress: Progress) -> int:
    """Write the table; returns how many rows."""
    ids, total, done, contexts = given.ids, len(given.contexts), 0, 0
    options = {"compression": "zstd", "use_dictionary": ["last", "context", "rank", "interest"]}
    with pq.ParquetWriter(path, ROW_SCHEMA, store_schema=False, **options) as file:
        for block in given.blocks():
            for start in range(0, len(block.contexts), _TOGETHER):
                end = start + _TOGETHER
                some = RowBlock(
                    block.contexts[start:end], block.successors[start:end], block.scores[start:end]
                )
                table = _long(some, ids)
                file.write_table(table)
                done += table.num_rows
            progress(contexts := contexts + len(block.contexts), total)
    return done


def _long(block: RowBlock, ids: np.ndarray) -> pa.Table:
    """Rows of a block, one per successor."""
    row, rank = np.nonzero(block.successors >= 0)
    last = block.contexts[:, -1].astype(np.int64)
    names = pa.array([",".join(str(ids[i]) for i in one if i >= 0) for one in block.contexts.tolist()])
    lasts = pa.array(ids[np.maximum(last, 0)], pa.int32(), mask=last < 0)
    of_row = pa.array(row.astype(np.int32))
    return pa.table(
        [
            lasts.take(of_row).dictionary_encode(),
            pa.DictionaryArray.from_arrays(of_row, names),
            pa.array(rank.astype(np.int16)),
            pa.array(ids[block.successors[row, rank]], pa.int32()),
            pa.array(np.asarray(block.scores)[row, rank], pa.float32()),
        ],
        schema=ROW_SCHEMA,
    )


def _write_interests(given: GivenRelease, path: Path) -> None:
    table = pa.table({"interest": pa.array(given.ids, pa.int32()), "description": list(given.descriptions)})
    pq.write_table(table, path, compression="zstd")


def _write_items(given: GivenRelease, path: Path) -> None:
    """Write which interest each item belongs to; items of none are left out."""
    schema = pa.schema([("item", pa.string()), ("interest", pa.int32())])
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for items, place in given.items():
            mask = place < 0
            belongs = pa.array(given.ids[np.maximum(place, 0)], pa.int32(), mask=mask)
            table = pa.table([pa.array(items, pa.string()), belongs], schema=schema)
            file.write_table(table.filter(pa.array(~mask)))
