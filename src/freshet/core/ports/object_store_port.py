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


class ObjectStore(Protocol):
    """A bucket, or a part of one below a prefix. Keys are relative paths with `/`.

    Raises (all methods):
        StoreUnreachable: the service can't be reached, refuses the credentials, or answers with errors after
            all tries; retryable. A write that raises may have happened all the same: read again to find out.
    """

    def get(self, key: str) -> Stored | None:
        """A small object; None where there is none."""

    def put_new(self, key: str, data: bytes) -> str | None:
        """Write a small object unless there is one: its tag, or None where there was one.

        Of several writers at once, one gets a tag.
        """

    def replace(self, key: str, data: bytes, tag: str) -> str | None:
        """Write a small object over the content that a tag names: its new tag, or None where it is another.

        Of several writers at once with one tag, one gets a new tag.
        """

    def upload(self, path: Path, key: str) -> None:
        """Write a file of any size; over an object that is there."""

    def download(self, key: str, path: Path) -> bool:
        """Write an object of any size into a file; False where there is none."""

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        """(key, bytes) of the objects whose keys begin so."""

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; those that are gone already don't matter."""
