"""Records of the state: every value is stored with a checksum of its database, its key and itself.

A checksum ends the value: `value + crc32`. The database `about` says in which format the others are.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any
from zlib import crc32

from lmdb import Transaction

NAMES = ("users", "events", "identities", "impressions", "notes", "positions")
ABOUT, KEY, FORMAT = "about", b"format", b"2"
"""Where the format is told. What tells none is of the first, which had no checksums."""

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
    told = get(transaction, databases, ABOUT, KEY)
    if told is None:
        empty = all(transaction.stat(databases[name])["entries"] == 0 for name in NAMES)
        return FORMAT if empty else b"1"
    return told


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
