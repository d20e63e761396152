"""The two roots of an LMDB file: where its trees begin, and what they say of them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

HEAD = 16
"""Bytes of a page's head."""
NONE = 2**64 - 1
"""The root of an empty tree."""
PAGE = struct.Struct("<QHHHH")  # number, pad, flags, lower, upper
DB = struct.Struct("<IHHQQQQQ")
_META_AT = struct.Struct("<IIQQ")  # magic, version, address, size of the map
_META, _MAGIC, _VERSION = 8, 0xBEEFC0DE, 1
_INTEGER_KEYS = 8
_LOOKS, _LARGEST = 100, 1 << 16


class Damaged(Exception):
    """What is wrong with a file, in a few words."""


class Database(NamedTuple):
    """What a root records of a tree: its depth, pages of each kind, entries, and the page of its root."""

    pad: int
    flags: int
    depth: int
    branches: int
    leaves: int
    overflow: int
    entries: int
    root: int


class Root(NamedTuple):
    """A committed moment of the file; `last` is its last page, `transaction` its number."""

    size: int  # bytes of a page
    free: Database
    main: Database
    last: int
    transaction: int


def root_of(path: Path) -> Root:
    """The newest of the two roots, of which both have to be sound; raises Damaged."""
    if not path.is_file():
        raise Damaged("it is no file")
    start = _start(path)
    size = _size(start)
    for _ in range(_LOOKS):  # until nobody wrote to them in between
        start, before = _start(path), start
        if start[: 2 * size] == before[: 2 * size]:
            break
    if len(start) < 2 * size:
        raise Damaged("it is cut off")
    found = [_meta(start[at * size : (at + 1) * size], at, size) for at in (0, 1)]
    first, second = (root.transaction for root in found)
    if abs(first - second) != 1 and (first or second):
        raise Damaged("its two roots do not belong together")
    return max(found, key=lambda root: root.transaction)


def _start(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        return file.read(2 * _LARGEST) or b""


def _size(start: bytes) -> int:
    """Bytes of a page, as the first one says."""
    if len(start) < HEAD + _META_AT.size + DB.size:
        raise Damaged(f"it has {len(start)} bytes")
    size: int = DB.unpack_from(start, HEAD + _META_AT.size)[0]
    if size not in (1 << bits for bits in range(9, 17)):
        raise Damaged("its first page is none")
    return size


def _meta(page: bytes, number: int, size: int) -> Root:
    named, _, flags, _, _ = PAGE.unpack_from(page)
    magic, version, address, room = _META_AT.unpack_from(page, HEAD)
    at = HEAD + _META_AT.size
    free, main = Database(*DB.unpack_from(page, at)), Database(*DB.unpack_from(page, at + DB.size))
    last, transaction = struct.unpack_from("<QQ", page, at + 2 * DB.size)
    sound = (
        (named, flags, magic, version, address) == (number, _META, _MAGIC, _VERSION, 0)
        and (free.pad, free.flags, main.flags) == (size, _INTEGER_KEYS, 0)
        and (transaction % 2 == number or not transaction)
        and (last + 1) * size <= room <= 1 << 46
    )
    if not sound:
        raise Damaged(f"its root {number} is none")
    return Root(size, free, main, last, transaction)
