"""LMDB environments: one per folder and process, whoever opens it.

A file may be opened once per process only (its locks are the process's), and its map may grow only while no
transaction of the process is open. Both are kept here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import lmdb

from freshet.backends.user_stores import lmdb_erasing, lmdb_file, lmdb_pages
from freshet.backends.user_stores.lmdb_file import (
    DATA,
    LOCK,
    damage_of,
    databases_of,
    make_file,
    open_file,
    translated_errors,
)
from freshet.core.errors import StateError, StateFull
from freshet.storage.durable import make_folder
from freshet.storage.permissions import narrow

_SHOWN = 3
"""Damaged records that an error names."""
_GROWTHS = 3
_RADII = (200, 5_000, 120_000)
"""Records before and behind a key: of a page, of all pages below one branch, of those below several."""
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
    """The databases of one folder; `share` opens it.

    Args:
        lenient: open it although records are damaged, for who looks for them.
    """

    def __init__(self, folder: Path, size: int, *, lenient: bool = False) -> None:
        self.folder = folder
        self.openers = 0
        self._gate = Gate()
        with translated_errors(folder):
            make_folder(folder)
            if (folder / DATA).exists():
                lmdb_pages.examine(folder / DATA)  # before LMDB: it ends the process where they are damaged
            else:
                make_file(folder, size)
            self._env = open_file(folder, size)
            narrow(folder / LOCK)
            self._env.reader_check()  # forgets readers that were killed: they would keep old pages
            self._lengthen()
            self.databases = databases_of(self._env)
        try:
            self._check(lenient)
        except BaseException:
            self._env.close()
            raise

    def get(self, transaction: lmdb.Transaction, name: str, key: bytes) -> bytes | None:
        """The value of a record, None where there is none."""
        return lmdb_file.get(transaction, self.databases, name, key)

    def put(self, transaction: lmdb.Transaction, name: str, key: bytes, value: bytes) -> None:
        """Store a record in the place of the one that is there."""
        lmdb_file.put(transaction, self.databases, name, key, value)

    def _check(self, lenient: bool) -> None:
        """Bring an older file to today's format, and look at every record; raises StateError."""
        found = self._format()
        if found not in (b"1", lmdb_file.FORMAT):
            raise StateError(
                f"the state {self.folder} was written by a newer Freshet", hint="update this Freshet"
            )
        if found != lmdb_file.FORMAT:
            self._upgrade()
        if not lenient and (wrong := self.damaged(_SHOWN + 1)):
            more = " and more" if len(wrong) > _SHOWN else ""
            raise damage_of(self.folder, f"{'; '.join(wrong[:_SHOWN])}{more}")

    def _format(self) -> bytes:
        with self.transaction() as transaction:
            return lmdb_file.format_of(transaction, self.databases)

    def damaged(self, most: int) -> list[str]:
        """What is wrong with the records, as far as so many findings."""
        with self.transaction() as transaction:
            return list(islice(lmdb_file.damaged(transaction, self.databases), most))

    def _upgrade(self) -> None:
        """In one transaction; another process may be faster."""
        for _ in range(_GROWTHS):
            try:
                with self.transaction(write=True) as transaction:
                    if lmdb_file.format_of(transaction, self.databases) != lmdb_file.FORMAT:
                        lmdb_file.upgrade(transaction, self.databases)
                return
            except StateFull:
                self.resize(max(_SPARE, self._env.info()["map_size"]))
        raise StateFull(f"the state {self.folder} has no room for checksums", hint="free some space")

    def _values(self, transaction: lmdb.Transaction, name: str, keys: Sequence[bytes]) -> list[bytes | None]:
        return [lmdb_file.get(transaction, self.databases, name, key) for key in keys]

    @contextmanager
    def transaction(self, write: bool = False) -> Iterator[lmdb.Transaction]:
        """A view of one moment; or all of the block's writes, durable when it ends, or none of them.

        One block writes at a time, among all processes.
        """
        for _ in range(2):
            with self._gate.shared(), translated_errors(self.folder):
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
                return self._values(begun, name, keys)
        except (lmdb.Error, lmdb_file.DamagedRecord):
            pass  # reported, or tried again, below
        finally:
            self._gate.leave()
        with self.transaction() as transaction:
            return self._values(transaction, name, keys)

    def _begin(self, write: bool) -> lmdb.Transaction | None:
        """None where another process has made the file larger than our map of it."""
        try:
            return self._env.begin(write=write)
        except lmdb.MapResizedError:
            return None

    def resize(self, more: int = _SPARE) -> None:
        """Let the file grow by so many bytes; 0 = to what other processes have made of it."""
        with self._gate.alone(), translated_errors(self.folder):
            self._env.set_mapsize(more and self._env.info()["map_size"] + more)

    def _lengthen(self) -> None:
        """Make the file as long as it says it is: to read behind its end would end the process.

        Only pages that were never written lie there: a file that was cut off was refused before.
        """
        path = self.folder / DATA
        missing = (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"] - path.stat().st_size
        if missing > 0:
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), path.stat().st_size, missing)

    def bytes_of(self, name: str) -> int:
        """Bytes of the pages that a database takes."""
        with self.transaction() as transaction:
            stat = transaction.stat(self.databases[name])
        count = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return int(count * stat["psize"])

    def unname(self, keys: dict[str, Sequence[bytes]]) -> None:
        """Have no tree keep a deleted key between its pages; wider around it each time it still does.

        Args:
            keys: by database.
        """
        for radius in _RADII:
            with self._gate.shared(), translated_errors(self.folder):
                found = lmdb_erasing.between_pages(
                    self._env, self.folder / DATA, {key for some in keys.values() for key in some}
                )
            if not found:
                return
            for name, some in keys.items():
                for key in found.intersection(some):
                    self._write_anew(name, key, radius)

    def _write_anew(self, name: str, key: bytes, radius: int) -> None:
        for _ in range(_GROWTHS):
            try:
                with self.transaction(write=True) as transaction:
                    lmdb_erasing.write_anew_around(transaction, self.databases[name], key, radius)
                return
            except StateFull:
                self.resize()

    def erase(self) -> int:
        """Overwrite what deleted records have left in the file; returns bytes.

        Raises:
            StateError: a reader keeps what was deleted; retryable.
        """
        self._renew()
        with self._gate.shared(), translated_errors(self.folder):
            return lmdb_erasing.erase(self._env, self.folder / DATA)

    def _renew(self) -> None:
        """Open the file again: LMDB uses its buffers again uncleared, and writes what is left in them."""
        with self._gate.alone(), translated_errors(self.folder):
            size = self._env.info()["map_size"]
            self._env.close()
            self._env = open_file(self.folder, size)
            self.databases = databases_of(self._env)

    def close(self) -> None:
        """Close the file once nobody uses it."""
        with self._gate.alone():
            self._env.close()


_opened: dict[tuple[int, Path], Environment] = {}
_opening = threading.Lock()


def share(folder: Path, size: int) -> Environment:
    """The process's environment of a folder; each call wants a `release`.

    Args:
        size: bytes that the file may grow to.

    Raises:
        StateError: it can't be opened.
    """
    return _share(folder, size, lenient=False)


def _share(folder: Path, size: int, *, lenient: bool) -> Environment:
    key = os.getpid(), folder.resolve()
    with _opening:
        if key not in _opened:
            _opened[key] = Environment(folder, size, lenient=lenient)
        _opened[key].openers += 1
        return _opened[key]


def release(environment: Environment) -> None:
    """Let go of it; the last one closes."""
    with _opening:
        environment.openers -= 1
        if environment.openers == 0:
            _opened.pop(next(key for key, one in _opened.items() if one is environment))
            environment.close()


def is_open(folder: Path) -> bool:
    """Whether this process has it open."""
    with _opening:
        return (os.getpid(), folder.resolve()) in _opened


@contextmanager
def lenient(folder: Path, size: int) -> Iterator[Environment]:
    """A folder's environment for the block, opened although records may be damaged."""
    opened = _share(folder, size, lenient=True)
    try:
        yield opened
    finally:
        release(opened)
