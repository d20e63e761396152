"""An object as a file that can be read anywhere: by Python, and by DuckDB through an fsspec filesystem."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

import duckdb
import fsspec

Ranges = Callable[[int, int], bytes]
"""(first byte, byte after the last) -> these bytes."""


class RangedFile(io.RawIOBase):
    """A file whose every read is a request for a range.

    Each thread has a place of its own: DuckDB's threads share a file, and move and read in two calls.
    """

    def __init__(self, size: int, ranges: Ranges) -> None:
        self._size = size
        self._ranges = ranges
        self._place = threading.local()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(getattr(self._place, "at", 0))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        self._place.at = start + offset
        return self.tell()

    def readinto(self, buffer: Any) -> int:
        start = self.tell()
        end = min(start + len(buffer), self._size)
        if start >= end:
            return 0
        buffer[: end - start] = self._ranges(start, end)
        self._place.at = end
        return end - start


_numbers = count(1)


class AttachedFiles(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """Files that are read by ranges, under a protocol of their own: what DuckDB asks of a filesystem."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.protocol = f"freshet{next(_numbers)}"
        self._files: dict[str, tuple[int, Ranges]] = {}

    def attach(self, connection: duckdb.DuckDBPyConnection, name: str, size: int, ranges: Ranges) -> str:
        """Make a file readable to a connection: the name that SQL's functions take."""
        if not connection.filesystem_is_registered(self.protocol):
            connection.register_filesystem(self)
        path = f"{self.protocol}://{len(self._files)}/{name}"
        self._files[path] = size, ranges
        return path

    def open(self, path: str, mode: str = "rb", **_: Any) -> RangedFile:
        if mode != "rb":
            raise io.UnsupportedOperation(f"{path} is only read")
        return RangedFile(*self._files[path])

    def glob(self, path: str, **_: Any) -> list[str]:
        return [path] if path in self._files else []

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": self._files[path][0], "type": "file"}

    def exists(self, path: str, **_: Any) -> bool:
        return path in self._files

    def modified(self, path: str) -> datetime:  # noqa: ARG002
        """A constant: what an attached name stands for never changes."""
        return datetime(1970, 1, 1, tzinfo=UTC)
