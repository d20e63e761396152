"""Overwrites what LMDB leaves behind of records that were deleted.

LMDB never wipes: a deleted record stays in pages that are free now, and in the gaps of pages that are used.
Here both are overwritten with zeros in the file, in place, so that whoever has it open goes on with it. That
is safe while three things hold, which `erase` sees to: it holds the write lock, so that no page becomes used;
no reader is at an earlier moment, whose pages are free today; and the newest root is on the disk, so that
nobody goes back to the one before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
from numpy.typing import NDArray

from freshet.backends.user_stores.lmdb_pages import reached
from freshet.backends.user_stores.lmdb_roots import HEAD, PAGE, root_of
from freshet.core.errors import StateError

PATIENCE = 30.0
"""Seconds that readers of earlier moments are waited for; requests read for microseconds."""
_POLL = 0.01
_BRANCH = 1
_STRETCH = 256
"""Pages written at once."""


def erase(env: lmdb.Environment, path: Path, patience: float = PATIENCE) -> int:
    """Overwrite all that no record needs; returns how many bytes it looked after.

    Args:
        env: open, of this process; its write lock is taken.
        path: its data file.

    Raises:
        StateError: a reader keeps an earlier moment; retryable.
    """
    with env.begin(write=True):  # nothing is written by it: it ends without a change
        _wait_for_readers(env, path, patience)
        with path.open("r+b", buffering=0) as file:
            done = _overwrite(file.fileno(), path)
            os.fsync(file.fileno())
    return done


def between_pages(env: lmdb.Environment, path: Path, keys: Collection[bytes]) -> set[bytes]:
    """Keys that stand between pages: a tree keeps those that once began a page, after they are deleted."""
    with env.begin(write=True):  # nobody writes meanwhile; it ends without a change
        found = reached(path)
        size = found.root.size
        content = np.memmap(path, np.uint8, "r", shape=(len(found.used), size))
        pages = [content[page].tobytes() for page in np.flatnonzero(found.nodes).tolist()]
    branches = b"".join(page for page in pages if PAGE.unpack_from(page)[2] & _BRANCH)
    return {key for key in keys if key in branches}


def write_anew_around(transaction: lmdb.Transaction, database: Any, key: bytes, radius: int) -> None:
    """Take so many records before and behind a key out and put them in again: pages begin anew there."""
    cursor = transaction.cursor(database)
    there = cursor.set_range(key) or cursor.last()
    for _ in range(radius if there else 0):
        if not cursor.prev():
            there = cursor.first()
            break
    records: list[tuple[bytes, bytes]] = []
    while there and len(records) < 2 * radius:
        records.append((bytes(cursor.key()), bytes(cursor.value())))
        there = cursor.next()
    for found, _ in records:
        transaction.delete(found, db=database)
    for found, value in records:
        transaction.put(found, value, db=database)


def _wait_for_readers(env: lmdb.Environment, path: Path, patience: float) -> None:
    """Until every reader is at the newest moment."""
    newest, until = root_of(path).transaction, time.monotonic() + patience
    while True:
        env.reader_check()  # forgets those that were killed
        oldest = min(_moments(env.readers()), default=newest)
        if oldest >= newest:
            return
        if time.monotonic() > until:
            raise StateError(
                f"the state {path.parent} is being read as it was before: what was deleted is still there",
                hint="a process holds on to an old view of it: end that, and call again",
                retryable=True,
            )
        time.sleep(_POLL)


def _moments(listed: str) -> list[int]:
    """Transactions of active readers, of LMDB's table of them."""
    rows = [line.split() for line in listed.splitlines()]
    return [int(row[2]) for row in rows if len(row) == 3 and row[2].isdigit()]


def _overwrite(file: int, path: Path) -> int:
    found = reached(path)
    size, there = found.root.size, os.fstat(file).st_size
    free = np.flatnonzero(~found.used)
    _zero_pages(file, free, size)
    content = np.memmap(path, np.uint8, "r", shape=(there,))
    gaps = list(found.tails)
    for page in np.flatnonzero(found.nodes).tolist():
        _, _, _, lower, upper = PAGE.unpack(content[page * size : page * size + HEAD].tobytes())
        gaps.append((page * size + lower, page * size + upper))
    gaps.append((len(found.used) * size, there))  # behind the last page, where a killed writer had begun
    return len(free) * size + sum(_zero(file, content[start:end], start) for start, end in gaps)


def _zero_pages(file: int, pages: NDArray[np.int64], size: int) -> None:
    """Whole pages, neighbours at once."""
    for run in np.split(pages, np.flatnonzero(np.diff(pages) != 1) + 1):
        for start in range(0, len(run), _STRETCH):
            part = run[start : start + _STRETCH]
            os.pwrite(file, bytes(len(part) * size), int(part[0]) * size)


def _zero(file: int, gap: NDArray[np.uint8], at: int) -> int:
    """A stretch within a page, if there is anything in it; returns its bytes."""
    if not gap.any():
        return 0
    os.pwrite(file, bytes(len(gap)), at)
    return len(gap)
