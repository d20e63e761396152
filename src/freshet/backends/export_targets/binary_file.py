"""One file that can be mapped into memory: a header, six sections, a checksum.

docs/reference/export.md describes every byte; examples/freshet_table.mjs reads it.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.backends.export_targets.file_places import leftovers, scratch_of
from freshet.core.errors import ExportError
from freshet.core.ports import FilePlace, GivenRelease, Progress, Written, silent

MAGIC, VERSION = b"FRESHET\0", 1
HEADER = struct.Struct("<8s8I9Q")
"""Magic; version, bytes of the header, k, N, width, and three zeros; rows, number of the release, offsets of
the six sections, bytes of the file. Zeros follow."""

HEADER_BYTES, ALIGNMENT, CHECKSUM_BYTES = 128, 64, 32
NONE = 0xFFFF
"""Stands for no interest: behind the last successor of a row."""


class Sections(NamedTuple):
    """Where the sections begin, in bytes."""

    groups: int
    earlier: int
    successors: int
    scores: int
    ids: int
    text: int


class BinaryTarget:
    """A file that is replaced as a whole.

    Args:
        place: the folder or prefix that it lies in.
        file: its name there.
    """

    def __init__(self, place: FilePlace, file: str) -> None:
        self._place = place
        self._file = file
        self.name = f"{place.name.rstrip('/')}/{file}"

    def write(self, given: GivenRelease, progress: Progress) -> Written:
        """Write the file aside, then put it in the place of the old one."""
        before = leftovers(self._place)
        with scratch_of(self._place) as scratch:
            draft = scratch / self._file
            size = write_binary(given, draft, progress)
            self._place.take(draft, self._file)
        self._place.remove(before)
        return Written(len(given.contexts), size, self.name)


def write_binary(given: GivenRelease, path: Path, progress: Progress = silent) -> int:
    """Write a release as one file; returns its bytes.

    Raises:
        ExportError: it has more interests than the layout has numbers for.
    """
    if len(given.ids) >= NONE:
        raise ExportError(f"{len(given.ids):,} interests; the binary layout has numbers for {NONE - 1:,}")
    rows, width = len(given.contexts), given.width
    text = json.dumps(given.about | {"descriptions": list(given.descriptions)}, ensure_ascii=False).encode()
    sizes = (4 * (len(given.ids) + 2), 4 * rows, 2 * rows * width, 4 * rows * width, 4 * len(given.ids))
    starts = [HEADER_BYTES]
    for size in sizes:
        starts.append(-(-(starts[-1] + size) // ALIGNMENT) * ALIGNMENT)
    sections, total = Sections(*starts), starts[-1] + len(text) + CHECKSUM_BYTES
    last = given.contexts[:, -1].astype(np.int64)
    groups = np.searchsorted(last, np.arange(-1, len(given.ids) + 1)).astype("<u4")
    with path.open("wb") as file:
        out = _Hashed(file)
        out.put(_header(given, sections, total))
        out.put(groups.tobytes(), sections.groups)
        out.put(_earlier(given.contexts).tobytes(), sections.earlier)
        done = 0
        for block in given.blocks():
            found = np.where(block.successors >= 0, block.successors, NONE).astype("<u2")
            out.put(found.tobytes(), sections.successors + 2 * done * width)
            progress(done := done + len(found), 2 * rows)
        for block in given.blocks():
            at = sections.scores + 4 * (done - rows) * width
            out.put(np.ascontiguousarray(block.scores, "<f4").tobytes(), at)
            progress(done := done + len(block.scores), 2 * rows)
        out.put(given.ids.astype("<i4").tobytes(), sections.ids)
        out.put(text, sections.text)
        file.write(out.digest())
    return total


def _header(given: GivenRelease, sections: Sections, total: int) -> bytes:
    numbers = (VERSION, HEADER_BYTES, given.k, len(given.ids), given.width, 0, 0, 0)
    return HEADER.pack(MAGIC, *numbers, len(given.contexts), given.number, *sections, total).ljust(
        HEADER_BYTES, b"\0"
    )


def _earlier(contexts: NDArray[np.int16]) -> NDArray[np.uint32]:
    """(C,) what comes before the last interest: index + 1 of one, 16 bits higher than that of another."""
    padded = np.full((len(contexts), 3), -1, np.int64)
    padded[:, 3 - contexts.shape[1] :] = contexts
    return ((padded[:, 1] + 1 << 16) + padded[:, 0] + 1).astype("<u4")


class _Hashed:
    """A file whose bytes are hashed as they are written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._at = 0

    def put(self, content: bytes, at: int | None = None) -> None:
        """Write at a place not before the last byte so far; zeros fill the gap."""
        padded = b"\0" * (max(0, (at or 0) - self._at)) + content
        self._hash.update(padded)
        self._file.write(padded)
        self._at += len(padded)

    def digest(self) -> bytes:
        """SHA-256 of all bytes so far."""
        return self._hash.digest()
