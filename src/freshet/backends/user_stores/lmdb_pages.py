"""Whether the pages of an LMDB file are sound, found out without LMDB, which aborts where they are not.

Every page that the newest root reaches is looked at: its number, kind and bounds, each node in it, that no
page is reached twice or is free as well, and that there are as many as the root says. Keys and values are
not checked here: records have checksums (`freshet.backends.user_stores.lmdb_file`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.backends.user_stores.lmdb_roots import DB, HEAD, NONE, PAGE, Damaged, Database, Root, root_of

_BRANCH, _LEAF, _OVERFLOW, _DIRTY = 1, 2, 4, 16
_BIG, _SUB = 1, 2
_NODE = 8
_DEEPEST, _TOGETHER = 32, 2048
_TRIES = 20

Ints = NDArray[np.int64]


class _Nodes(NamedTuple):
    """Nodes of leaves: page, where it begins in it, and lengths; `flags` as LMDB has them."""

    page: Ints
    at: Ints
    key: Ints
    data: Ints
    flags: Ints


def examine(path: Path) -> None:
    """Look at a `data.mdb`; others may write to it meanwhile.

    Raises:
        Damaged: it must not be opened.
        OSError: it can't be read.
    """
    for _ in range(_TRIES):
        root = root_of(path)
        problem: Damaged | None = None
        try:
            _Walk(path, root)()
        except Damaged as found:
            problem = found
        # pages of a root are written over by the third transaction after it
        if root_of(path).transaction <= root.transaction + 1:
            if problem is not None:
                raise problem
            return


class Reached(NamedTuple):
    """What the newest root needs of a file.

    Attributes:
        used: (pages,) whether it needs a page.
        nodes: (pages,) whether that is a page of nodes, which may have a gap.
        tails: first and last byte, within the file, behind values that don't fill their pages.
    """

    root: Root
    used: NDArray[np.bool_]
    nodes: NDArray[np.bool_]
    tails: list[tuple[int, int]]


def reached(path: Path) -> Reached:
    """What is needed of a `data.mdb` that nobody writes to meanwhile.

    Raises:
        Damaged: its pages are not sound.
    """
    walk = _Walk(path, root_of(path))
    walk()
    return Reached(walk.root, walk.seen, walk.nodes, walk.tails)


@dataclass
class _Walk:
    path: Path
    root: Root
    seen: NDArray[np.bool_] = field(init=False)
    nodes: NDArray[np.bool_] = field(init=False)
    tails: list[tuple[int, int]] = field(init=False)
    content: NDArray[np.uint8] = field(init=False)

    def __call__(self) -> None:
        size = self.root.size
        there = self.path.stat().st_size // size
        # what was never written may be missing at the end; where such a page is needed, the file was cut
        self.content = np.memmap(self.path, np.uint8, "r", shape=(there, size))
        self.seen = np.zeros(min(self.root.last + 1, there), bool)
        self.seen[:2] = True
        self.nodes, self.tails = np.zeros_like(self.seen), []
        free = self._database(self.root.free, "the list of free pages")
        main = self._database(self.root.main, "the list of databases")
        for at in range(len(main.page)):
            name, data = self._record(main, at)
            if main.flags[at] != _SUB or len(data) != DB.size:
                raise Damaged(f"page {main.page[at]} names no database")
            self._database(Database(*DB.unpack(data)), f"database {name.decode(errors='replace')}", 0)
        self._free(free)

    def _database(self, db: Database, what: str, flags: int | None = None) -> _Nodes:
        """The leaves' nodes of a database, each page of which is sound."""
        if flags is not None and db.flags != flags:
            raise Damaged(f"{what} is of another kind")
        empty = np.zeros(0, np.int64)
        if db.root == NONE or not db.depth:
            if db.root != NONE or db.depth or db.entries:
                raise Damaged(f"{what} has no root")
            return _Nodes(empty, empty, empty, empty, empty)
        if db.depth > _DEEPEST:
            raise Damaged(f"{what} is too deep")
        level, branches = np.array([db.root], np.uint64), 0
        for _ in range(db.depth - 1):
            branches += len(level)
            pages = self._take(level)
            level = np.concatenate([self._children(part) for part in _parts(pages)])
        pages = self._take(level)
        nodes = _Nodes(*map(np.concatenate, zip(*(self._leaves(p) for p in _parts(pages)), strict=True)))
        overflow = self._overflow(nodes)
        if (branches, len(pages), overflow, len(nodes.page)) != db[3:7]:
            raise Damaged(f"{what} has not the pages that its root tells")
        return nodes

    def _take(self, level: NDArray[np.uint64]) -> Ints:
        """Page numbers as integers; each is there, and was not reached before."""
        if (level >= len(self.seen)).any():
            missing = int(level[level >= len(self.seen)][0])
            cut = missing <= self.root.last
            raise Damaged(
                f"page {missing} is missing: it is cut off" if cut else f"there is no page {missing}"
            )
        pages = level.astype(np.int64)
        if self.seen[pages].any() or len(np.unique(pages)) < len(pages):
            raise Damaged("a page is used twice")
        self.seen[pages] = True
        return pages

    def _nodes(self, pages: Ints, kind: int) -> tuple[Ints, Ints, NDArray[np.int64]]:
        """Of pages of a kind: (n,) page and offset of each node, (n, 4) its head."""
        whole = np.ascontiguousarray(self.content[pages])
        heads = np.ascontiguousarray(whole[:, :HEAD])
        number = heads[:, :8].copy().view("<u8")[:, 0].astype(np.int64)
        flags, lower, upper = heads[:, 10:].copy().view("<u2").astype(np.int64).T
        size = self.root.size
        wrong = (number != pages) | ((flags & ~_DIRTY) != kind) | (lower < HEAD + 2) | (lower % 2 != 0)
        wrong |= (lower > upper) | (upper > size)
        self._sound(pages, wrong)
        counts = (lower - HEAD) // 2
        row = np.repeat(np.arange(len(pages)), counts)
        slot = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        at = whole.view("<u2")[row, HEAD // 2 + slot].astype(np.int64)
        self._sound(pages[row], (at < upper[row]) | (at > size - _NODE) | (at % 2 != 0))
        head = whole.view("<u2")[row[:, None], at[:, None] // 2 + np.arange(4)].astype(np.int64)
        length = _NODE + head[:, 3]
        if kind == _LEAF:
            length = length + np.where(head[:, 2] & _BIG, 8, head[:, 0] | head[:, 1] << 16)
            self._sound(pages[row], head[:, 2] > _SUB)
        self._fit(pages, row, at, length + length % 2, upper)
        self.nodes[pages] = True
        return pages[row], at, head

    def _fit(self, pages: Ints, row: Ints, at: Ints, length: Ints, upper: Ints) -> None:
        """Nodes fill a page from `upper` to its end, without gaps and without overlapping."""
        order = np.lexsort((at, row))
        row, at, end = row[order], at[order], (at + length)[order]
        last = np.append(row[1:] != row[:-1], True)
        first = np.roll(last, 1)
        follows = np.where(last, self.root.size, np.roll(at, -1))
        self._sound(pages[row], (end != follows) | (first & (at != upper[row])))

    def _children(self, pages: Ints) -> NDArray[np.uint64]:
        _, _, head = self._nodes(pages, _BRANCH)
        return (head[:, 0] | head[:, 1] << 16 | head[:, 2] << 32).astype(np.uint64)

    def _leaves(self, pages: Ints) -> _Nodes:
        page, at, head = self._nodes(pages, _LEAF)
        return _Nodes(page, at, head[:, 3], head[:, 0] | head[:, 1] << 16, head[:, 2])

    def _overflow(self, nodes: _Nodes) -> int:
        """Pages of values that are too long for a leaf; each belongs to one node."""
        count = 0
        for at in np.flatnonzero(nodes.flags == _BIG).tolist():
            first = self._big(nodes, at)
            needed = (HEAD - 1 + int(nodes.data[at])) // self.root.size + 1
            pages = self._take(np.uint64(first) + np.arange(needed, dtype=np.uint64))
            number, _, flags, low, high = PAGE.unpack(self.content[pages[0], :HEAD].tobytes())
            if (number, flags & ~_DIRTY, low | high << 16) != (first, _OVERFLOW, needed):
                raise Damaged(f"page {first} is damaged")
            end = (first + needed) * self.root.size
            self.tails.append((first * self.root.size + HEAD + int(nodes.data[at]), end))
            count += needed
        return count

    def _big(self, nodes: _Nodes, at: int) -> int:
        start = int(nodes.at[at] + _NODE + nodes.key[at])
        return int.from_bytes(self.content[nodes.page[at], start : start + 8].tobytes(), "little")

    def _record(self, nodes: _Nodes, at: int) -> tuple[bytes, bytes]:
        page, start, size = int(nodes.page[at]), int(nodes.at[at]) + _NODE, int(nodes.data[at])
        middle = start + int(nodes.key[at])
        key = self.content[page, start:middle].tobytes()
        if nodes.flags[at] == _BIG:
            first = self._big(nodes, at) * self.root.size + HEAD
            return key, self.content.reshape(-1)[first : first + size].tobytes()
        return key, self.content[page, middle : middle + size].tobytes()

    def _free(self, nodes: _Nodes) -> None:
        """Free pages are listed once, in order, and nothing reaches them."""
        free = np.zeros(self.root.last + 1, bool)
        for at in range(len(nodes.page)):
            key, data = self._record(nodes, at)
            listed = np.frombuffer(data[: len(data) // 8 * 8], "<u8")
            count = int(listed[0]) if len(listed) else NONE
            sound = len(key) == 8 and int.from_bytes(key, "little") <= self.root.transaction
            if not sound or count >= len(listed):
                raise Damaged("the list of free pages is none")
            pages = listed[1 : count + 1]
            if (pages > self.root.last).any() or (pages[1:] >= pages[:-1]).any() or free[pages].any():
                raise Damaged("the list of free pages names what is no page, or one twice")
            free[pages] = True
        if (free[: len(self.seen)] & self.seen).any():
            raise Damaged("a page that is used is in the list of free pages")

    @staticmethod
    def _sound(pages: Ints, wrong: NDArray[np.bool_]) -> None:
        if wrong.any():
            raise Damaged(f"page {pages[wrong][0]} is damaged")


def _parts(pages: Ints) -> list[Ints]:
    return np.array_split(pages, max(1, -(-len(pages) // _TOGETHER)))
