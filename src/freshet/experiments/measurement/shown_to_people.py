"""Takes people out of the files of impressions."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.experiments.measurement.impression_files import files
from freshet.storage.durable import written


def without_people(source: Path, users: Collection[str], numbers: NDArray[np.uint64]) -> int:
    """Take rows out of all files of a workspace; returns how many. A file keeps its name; an empty one goes.

    Files that can't be read go as well: nobody can tell who is in them.

    Args:
        users: ids as the log has them.
        numbers: of the same users.
    """
    readable, unreadable = files(source)
    for path in unreadable:
        path.unlink()
    wanted, gone = pa.array(sorted(users), pa.string()), 0
    for one in readable:
        try:
            mine = _mine(one.path, one.columns, wanted, numbers)
            table = pq.read_table(one.path) if mine.any() else None
        except (OSError, pa.ArrowException):  # its end is whole, what it holds is not
            one.path.unlink()
            continue
        if table is None:
            continue
        gone += int(mine.sum())
        if mine.all():
            one.path.unlink()
            continue
        with written(one.path) as aside:
            pq.write_table(table.filter(pa.array(~mine)), aside, compression="zstd")
    return gone


def _mine(
    path: Path, there: frozenset[str], users: pa.Array, numbers: NDArray[np.uint64]
) -> NDArray[np.bool_]:
    """(rows,) whether a row was shown to one of the users."""
    table = pq.read_table(path, columns=[name for name in ("user", "user_key") if name in there])
    mine = np.zeros(table.num_rows, bool)
    if "user" in there:
        mine |= np.asarray(pc.is_in(table["user"].cast(pa.string()), value_set=users).combine_chunks())
    if "user_key" in there:
        mine |= np.isin(table["user_key"].cast(pa.uint64()).to_numpy(), numbers)
    return mine
