"""Rows on disk on their way from days to users and back, so that memory holds one part at a time.

Engagements come in days, are walked by user, and the transitions found are filed by day again. A *part* is a
range of user keys. Keys are hashes, so parts are about equally large; only a single user's rows can't be cut.
Files are written whole and read as often as wanted: a job that was lost with its machine is done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from freshet.stages.transitions.day_files import Rows


@dataclass(frozen=True, slots=True)
class Pieces:
    """A file of rows, cut into pieces: one for each part of users, or for each day.

    Attributes:
        path: there is no such file where there are no rows.
        starts: (pieces + 1,) the first row of each piece, and the end.
    """

    path: Path
    starts: NDArray[np.int64]

    @classmethod
    def write(cls, path: Path, rows: Iterable[Rows], starts: NDArray[np.int64]) -> Pieces:
        """Write rows, in the order given, whole or not at all."""
        if starts[-1]:
            aside = path.with_name(f"{path.name}.{uuid4().hex}")
            with aside.open("wb") as file:
                for some in rows:
                    file.write(some.view(np.uint8).data)
            aside.replace(path)
        return cls(path, starts)

    def size(self, piece: int) -> int:
        """Rows of a piece."""
        return int(self.starts[piece + 1] - self.starts[piece])

    def read_into(self, room: Rows, piece: int) -> None:
        """Fill as many rows as the piece has.

        Raises:
            OSError: the file is missing, or shorter than it was written.
        """
        with self.path.open("rb", buffering=0) as file:
            file.seek(int(self.starts[piece]) * room.itemsize)
            rest = room.view(np.uint8).data
            while rest:
                found = file.readinto(rest)
                if not found:
                    raise OSError(f"{self.path} ends too early")
                rest = rest[found:]


def gathered(files: Sequence[Pieces], piece: int, kind: np.dtype[np.void]) -> Rows:
    """The rows of one piece in all files, in the order of the files."""
    sizes = [file.size(piece) for file in files]
    rows, start = np.empty(sum(sizes), kind), 0
    for file, size in zip(files, sizes, strict=True):  # into place: numpy joins records field by field
        if size:
            file.read_into(rows[start : start + size], piece)
        start += size
    return rows


def bits_for(rows: int, most: int) -> int:
    """How many upper bits of a user's key number the parts, so that each has about `most` rows or fewer."""
    return max(0, (max(rows, 1) - 1) // most).bit_length()


def by_part(files: Sequence[Rows], bits: int) -> tuple[list[Rows], NDArray[np.int64]]:
    """Rows of files that are each sorted by user: in the order of parts, and where each part starts."""
    bounds = np.arange(1, 1 << bits, dtype=np.uint64) << np.uint64(64 - bits if bits else 0)
    cut = [np.split(rows, np.searchsorted(rows["user"], bounds)) for rows in files]
    parts = [[pieces[part] for pieces in cut] for part in range(1 << bits)]
    sizes = [sum(map(len, pieces)) for pieces in parts]
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
    return [rows for pieces in parts for rows in pieces if len(rows)], starts
