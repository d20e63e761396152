"""Rows on disk on their way from days to users and back, so that memory holds one part at a time.

Engagements come in days, are walked by user, and the transitions found are filed by day again. A *part* is a
range of user keys. Keys are hashes, so parts are about equally large; only a single user's rows can't be cut.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.stages.transitions.day_files import ENGAGEMENT, Rows, days_of


class Engagements:
    """Engagements in parts of users.

    Args:
        folder: where the parts are written.
        rows: expected in all.
        most: rows that a part should not exceed by much.
    """

    def __init__(self, folder: Path, rows: int, most: int) -> None:
        self.folder = folder
        self.bits = max(0, (max(rows, 1) - 1) // most).bit_length()

    @property
    def parts(self) -> range:
        return range(1 << self.bits)

    def add(self, rows: Rows) -> None:
        """Put rows, sorted by user, where they belong."""
        bounds = np.arange(1, 1 << self.bits, dtype=np.uint64) << np.uint64(
            64 - self.bits if self.bits else 0
        )
        for part, piece in enumerate(np.split(rows, np.searchsorted(rows["user"], bounds))):
            if len(piece):
                with self._path(part).open("ab") as file:
                    piece.tofile(file)

    def take(self, part: int) -> Rows:
        """A part's rows in the order they came in; they can be taken once."""
        path = self._path(part)
        if not path.exists():
            return np.empty(0, ENGAGEMENT)
        rows: Rows = np.fromfile(path, ENGAGEMENT)
        path.unlink()
        return rows

    def _path(self, part: int) -> Path:
        return self.folder / f"engagements-{part}"


class Found:
    """Transitions of all parts, by day.

    Args:
        folder: where they are written.
        first: the first day, since 1970.
        days: number of days.
    """

    def __init__(self, folder: Path, first: int, days: int) -> None:
        self.folder = folder
        self.first = first
        self.days = days
        self.starts: dict[int, NDArray[np.int64]] = {}  # part -> (days + 1,) first row of each day

    def add(self, part: int, rows: Rows) -> None:
        """Put a part's transitions, ordered by day and user."""
        if len(rows):
            rows.tofile(self._path(part))
            days = np.arange(self.first, self.first + self.days + 1)
            self.starts[part] = np.searchsorted(days_of(rows), days)

    def of(self, day: int, kind: np.dtype[np.void]) -> Rows:
        """A day's transitions in the order of day files."""
        place = day - self.first
        pieces = []
        for part in sorted(self.starts):
            start, end = self.starts[part][place : place + 2].tolist()
            if end > start:
                offset = start * kind.itemsize
                pieces.append(np.fromfile(self._path(part), kind, end - start, offset=offset))
        return np.concatenate(pieces) if pieces else np.empty(0, kind)

    def _path(self, part: int) -> Path:
        return self.folder / f"transitions-{part}"
