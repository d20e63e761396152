"""The contract of object stores refuses those that break it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from freshet.checks.object_store import check_object_store
from freshet.core.ports import Listed, Stored
from tests.storage.remote.memory_store import MemoryStore, Objects


class Overwriting(MemoryStore):
    """Knows no condition on what is not there."""

    def put_new(self, key: str, data: bytes) -> str | None:
        return self.bucket.write(key, data)


class Careless(MemoryStore):
    """Compares no tags."""

    def replace(self, key: str, data: bytes, tag: str) -> str | None:
        return self.bucket.write(key, data) if key in self.bucket.objects else None


class LooksFirst(MemoryStore):
    """Looks, and writes a moment later: two may have looked."""

    def replace(self, key: str, data: bytes, tag: str) -> str | None:
        found = self.bucket.objects.get(key)
        time.sleep(0.01)
        return self.bucket.write(key, data) if found is not None and found.tag == tag else None


class LooksFirstForNew(MemoryStore):
    """The same where there is no object yet."""

    def put_new(self, key: str, data: bytes) -> str | None:
        there = key in self.bucket.objects
        time.sleep(0.01)
        return None if there else self.bucket.write(key, data)


class SameTags(MemoryStore):
    """Names no content by its tag."""

    def get(self, key: str) -> Stored | None:
        found = super().get(key)
        return None if found is None else Stored(found.data, "tag")


class CutsOff(MemoryStore):
    """Loses the end of large objects."""

    def upload(self, path: Path, key: str) -> None:
        self.bucket.write(key, path.read_bytes()[: 8 << 20])


class ListsByLetters(MemoryStore):
    """Takes a prefix for the beginning of a name."""

    def listed(self, prefix: str) -> Iterator[Listed]:
        return (one for one in super().listed("") if one.key.startswith(prefix))


def test_a_store_that_keeps_the_contract_passes() -> None:
    bucket = Objects()
    check_object_store(lambda: MemoryStore(bucket), rounds=5)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Overwriting, "written over one that is there"),
        (Careless, "replaced although it has changed"),
        (LooksFirst, "writers replaced an object at the same time"),
        (LooksFirstForNew, "writers wrote a new object at the same time"),
        (SameTags, "different tags"),
        (CutsOff, "did not survive"),
        (ListsByLetters, "below `a`"),
    ],
)
def test_a_store_that_breaks_it_is_refused(kind: type[MemoryStore], why: str) -> None:
    bucket = Objects()
    with pytest.raises(AssertionError, match=why):
        check_object_store(lambda: kind(bucket), rounds=5)
