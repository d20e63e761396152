"""Where a workspace lies that is no folder: objects under keys, some of which are swapped on a condition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """A small object as it was read.

    Attributes:
        data: its bytes.
        tag: names this very content, for `ObjectStore.replace`: an ETag, or a generation where the service
            compares that.
    """

    data: bytes
    tag: str


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing names it.

    Attributes:
        size: bytes.
        modified: seconds since 1970 by the clock of the service, which no other clock is compared with.
    """

    key: str
    size: int
    modified: float


class ObjectStore(Protocol):
    """A bucket, or a part of one below a prefix. Keys are relative paths with `/`.

    Raises (all methods):
        StoreUnreachable: the service can't be reached, refuses the credentials, or answers with errors after
            all tries; retryable. A write that raises may have happened all the same: read again to find out.
    """

    def get(self, key: str) -> Stored | None:
        """A small object; None where there is none."""

    def tag(self, key: str) -> str | None:
        """The tag that `get` would give, without the bytes; None where there is no object."""

    def put_new(self, key: str, data: bytes) -> str | None:
        """Write a small object unless there is one: its tag, or None where there was one, or may have been.

        Of several writers at once, at most one gets a tag. None may also mean that an earlier try of this
        very call was carried out and its answer lost: read again to find out.
        """

    def replace(self, key: str, data: bytes, tag: str) -> str | None:
        """Write a small object over the content that a tag names: its new tag, or None where it is another.

        Of several writers at once with one tag, at most one gets a new tag. None as with `put_new`.
        """

    def upload(self, path: Path, key: str) -> None:
        """Write a file of any size; over an object that is there."""

    def download(self, key: str, path: Path) -> bool:
        """Write an object of any size into a file; False where there is none."""

    def listed(self, prefix: str) -> Iterator[Listed]:
        """The objects below a prefix, which ends where a part of a key ends."""

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; those that are gone already don't matter."""
