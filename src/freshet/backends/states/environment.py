"""LMDB environments: one per folder and process, whoever opens it; errors in Freshet's words.

A file may be opened once per process only (its locks are the process's), and its map may grow only while no
transaction of the process is open. Both are kept here.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from freshet.errors import StateError, StateFull

NAMES = ("users", "events", "identities", "impressions", "notes", "positions")
_READERS = 1024
_LITTLE = 1 << 20
_DAMAGE = lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.VersionMismatchError
_SPARE = 16 << 20
"""Bytes by which the map grows so that a full one can be trimmed: even forgetting writes pages first."""


class Gate:
    """Lets many in, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Inside with others."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def enter(self) -> None:
        """Go inside with others."""
        with self._changed:
            self._inside += 1

    def leave(self) -> None:
        """Leave."""
        with self._changed:
            self._inside -= 1
            if not self._inside:
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside when all have left; nobody enters meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._inside == 0)
            yield


class Environment:
    """The databases of one folder; `share` opens it."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.openers = 0
        self._gate = Gate()
        with telling(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._env = lmdb.open(
                str(folder), map_size=size, max_dbs=len(NAMES), max_readers=_READERS, readahead=False
            )
            self._env.reader_check()  # forgets readers that were killed: they would keep old pages
            self._lengthen()
            self.databases = {name: self._env.open_db(name.encode()) for name in NAMES}

    @contextmanager
    def transaction(self, write: bool = False) -> Iterator[lmdb.Transaction]:
        """A view of one moment; or all of the block's writes, durable when it ends, or none of them.

        One block writes at a time, among all processes.
        """
        for _ in range(2):
            with self._gate.shared(), telling(self.folder):
                if (begun := self._begin(write)) is not None:
                    with begun:
                        yield begun
                    return
            self.resize(0)
        raise StateError(f"the state {self.folder} grows all the time", hint="try again", retryable=True)

    def read(self, name: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values of a database by key, all of one moment; None for what is not there.

        What `transaction` would do, without its layers: a request waits for it.
        """
        self._gate.enter()
        try:
            with self._env.begin() as begun:
                return _values(begun, self.databases[name], keys)
        except lmdb.Error:
            pass  # told, or tried again, below
        finally:
            self._gate.leave()
        with self.transaction() as transaction:
            return _values(transaction, self.databases[name], keys)

    def _begin(self, write: bool) -> lmdb.Transaction | None:
        """None where another process has made the file larger than our map of it."""
        try:
            return self._env.begin(write=write)
        except lmdb.MapResizedError:
            return None

    def resize(self, more: int = _SPARE) -> None:
        """Let the file grow by so many bytes; 0 = to what other processes have made of it."""
        with self._gate.alone(), telling(self.folder):
            self._env.set_mapsize(more and self._env.info()["map_size"] + more)

    def _lengthen(self) -> None:
        """Make the file as long as it says it is: to read behind its end would end the process.

        Pages that were never written may lie there; where a file was cut off, LMDB finds pages that are none.
        """
        path = self.folder / "data.mdb"
        missing = (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"] - path.stat().st_size
        if missing > 0:
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), path.stat().st_size, missing)

    def bytes_of(self, name: str) -> int:
        """Bytes of the pages that a database takes."""
        with self.transaction() as transaction:
            stat = transaction.stat(self.databases[name])
        pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return int(pages * stat["psize"])

    def close(self) -> None:
        """Close the file once nobody uses it."""
        with self._gate.alone():
            self._env.close()


def _values(transaction: lmdb.Transaction, database: Any, keys: Sequence[bytes]) -> list[bytes | None]:
    found = [transaction.get(key, db=database) for key in keys]
    return [None if value is None else bytes(value) for value in found]


_opened: dict[tuple[int, Path], Environment] = {}
_opening = threading.Lock()


def share(folder: Path, size: int) -> Environment:
    """The process's environment of a folder; each call wants a `release`.

    Args:
        size: bytes that the file may grow to.

    Raises:
        StateError: it can't be opened.
    """
    key = os.getpid(), folder.resolve()
    with _opening:
        if key not in _opened:
            _opened[key] = Environment(folder, size)
        _opened[key].openers += 1
        return _opened[key]


def release(environment: Environment) -> None:
    """Let go of it; the last one closes."""
    with _opening:
        environment.openers -= 1
        if environment.openers == 0:
            _opened.pop(next(key for key, one in _opened.items() if one is environment))
            environment.close()


@contextmanager
def telling(folder: Path) -> Iterator[None]:
    """A block in which errors of LMDB and of the disk become StateErrors that say what to do."""
    try:
        yield
    except lmdb.MapFullError:
        raise StateFull(
            f"the state {folder} is full",
            hint="`freshet collect` makes room; or raise [serving] state_gb and restart what uses it",
            retryable=True,
        ) from None
    except _DAMAGE as error:
        raise StateError(
            f"the state {folder} is damaged: {error}",
            hint="move the folder aside and restart: histories are loaded from the event log again; events "
            "that were not collected yet are only in the damaged file",
        ) from None
    except (lmdb.Error, OSError) as error:
        why = "its disk is full" if _is_full(folder) else str(error)
        raise StateError(
            f"the state {folder} can't be used: {why}",
            hint="free some space, or see to the disk; then it works again",
            retryable=True,
        ) from None


def _is_full(folder: Path) -> bool:
    """Whether so little room is left that a write may have failed for it: LMDB tells of a bad disk then."""
    return folder.is_dir() and shutil.disk_usage(folder).free < _LITTLE
