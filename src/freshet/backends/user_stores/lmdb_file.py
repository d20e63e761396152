"""The LMDB file of a user store: how it is made and opened, its records, its errors in Freshet's words.

Every value is stored with a checksum of its database, its key and itself, which ends the value:
`value + crc32`. The database `about` says in which format the others are.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

import lmdb
from lmdb import Transaction

from freshet.backends.user_stores import lmdb_roots
from freshet.core.errors import StateError, StateFull
from freshet.storage.durable import written
from freshet.storage.permissions import file_mode

NAMES = ("users", "events", "identities", "impressions", "notes", "positions")
ABOUT, KEY, FORMAT = "about", b"format", b"2"
"""Where the format is recorded. A file without it is of the first, which had no checksums."""

_CHECK = 4
_TOGETHER = 10_000


class DamagedRecord(Exception):
    """A record whose checksum differs."""

    def __init__(self, name: str, key: bytes) -> None:
        super().__init__(f"record {key.hex()} of {name}: its checksum differs")


def sealed(name: str, key: bytes, value: bytes) -> bytes:
    """The value with its checksum."""
    return value + crc32(value, crc32(key, _start(name))).to_bytes(_CHECK, "little")


def unsealed(name: str, key: bytes, data: bytes | memoryview) -> bytes:
    """The value that was sealed; raises DamagedRecord where it is another one."""
    value = bytes(data[:-_CHECK])
    if crc32(value, crc32(key, _start(name))).to_bytes(_CHECK, "little") != data[-_CHECK:]:
        raise DamagedRecord(name, key)
    return value


@cache
def _start(name: str) -> int:
    return crc32(name.encode() + b"\0")


def put(transaction: Transaction, databases: dict[str, Any], name: str, key: bytes, value: bytes) -> None:
    """Store a record in the place of the one that is there."""
    transaction.put(key, sealed(name, key, value), db=databases[name])


def get(transaction: Transaction, databases: dict[str, Any], name: str, key: bytes) -> bytes | None:
    """The value of a record, None where there is none; raises DamagedRecord."""
    data = transaction.get(key, db=databases[name])
    return None if data is None else unsealed(name, key, data)


def format_of(transaction: Transaction, databases: dict[str, Any]) -> bytes:
    """In which format the records are; that of a state without records is today's. Raises DamagedRecord."""
    found = get(transaction, databases, ABOUT, KEY)
    if found is None:
        empty = all(transaction.stat(databases[name])["entries"] == 0 for name in NAMES)
        return FORMAT if empty else b"1"
    return found


def upgrade(transaction: Transaction, databases: dict[str, Any]) -> None:
    """Give every record of the first format its checksum."""
    for name in NAMES:
        after: bytes | None = None
        while batch := _some(transaction, databases[name], after):
            for key, value in batch:
                put(transaction, databases, name, key, value)
            after = batch[-1][0]
    put(transaction, databases, ABOUT, KEY, FORMAT)


def _some(transaction: Transaction, database: Any, after: bytes | None) -> list[tuple[bytes, bytes]]:
    cursor = transaction.cursor(database)
    there = cursor.first() if after is None else cursor.set_range(after + b"\0")
    found: list[tuple[bytes, bytes]] = []
    while there and len(found) < _TOGETHER:
        found.append((bytes(cursor.key()), bytes(cursor.value())))
        there = cursor.next()
    return found


def damaged(transaction: Transaction, databases: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the records: checksums that differ, keys that are out of order or can't be found."""
    for name in (*NAMES, ABOUT):
        database, before = databases[name], b""
        for found, data in transaction.cursor(database):
            key = bytes(found)
            try:
                unsealed(name, key, data)
            except DamagedRecord as error:
                yield str(error)
            if key <= before or transaction.get(key, db=database) is None:
                yield f"record {key.hex()} of {name}: it is in the wrong place"
            before = key


DATA, LOCK = "data.mdb", "lock.mdb"
NEW = ".new-"
"""How folders begin in which a file is made."""

_READERS = 1024
_LITTLE = 1 << 20
_FORBIDDEN = [os.strerror(number) for number in (errno.EACCES, errno.EPERM, errno.EROFS)]
_DAMAGE = (
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
    lmdb_roots.Damaged,
    DamagedRecord,
)


def open_file(folder: Path, size: int) -> lmdb.Environment:
    """The LMDB environment of a folder; its pages have to be sound."""
    return lmdb.open(
        str(folder), map_size=size, max_dbs=len(NAMES) + 1, max_readers=_READERS, readahead=False,
        mode=file_mode(),
    )  # fmt: skip


def databases_of(env: lmdb.Environment) -> dict[str, Any]:
    """The databases by name; made where they are missing."""
    return {name: env.open_db(name.encode()) for name in (*NAMES, ABOUT)}


def make_file(folder: Path, size: int) -> None:
    """A new file, there with all of its databases or not at all: a part of one would pass for damage."""
    with suppress(FileExistsError), TemporaryDirectory(dir=folder, prefix=NEW) as draft:
        env = open_file(Path(draft), size)
        databases = databases_of(env)
        with env.begin(write=True) as transaction:
            put(transaction, databases, ABOUT, KEY, FORMAT)
        env.close()
        with written(folder / DATA, exclusive=True) as aside:
            Path(draft, DATA).replace(aside)


@contextmanager
def translated_errors(folder: Path) -> Iterator[None]:
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
        raise damage_of(folder, str(error)) from None
    except (lmdb.Error, OSError) as error:
        forbidden = any(words in str(error) for words in _FORBIDDEN)
        why = "its disk is full" if not forbidden and _is_full(folder) else str(error)
        raise StateError(
            f"the state {folder} can't be used: {why}",
            hint="whoever serves must be allowed to write there: see to its owner and permissions"
            if forbidden
            else "free some space, or see to the disk; then it works again",
            retryable=True,
        ) from None


def damage_of(folder: Path, why: str) -> StateError:
    """The error that says so, and what to do."""
    return StateError(
        f"the state {folder} is damaged: {why}",
        hint="stop what uses it, then `freshet doctor --repair`: it keeps the records that are sound, and "
        "histories are loaded from the event log again",
    )


def _is_full(folder: Path) -> bool:
    """Whether so little room is left that a write may have failed for it: LMDB reports a bad disk then."""
    return folder.is_dir() and shutil.disk_usage(folder).free < _LITTLE
