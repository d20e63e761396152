"""What every object store promises."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from freshet.core.ports import ObjectStore

WRITERS = 8
LARGE = 20 << 20
"""Bytes of an object that is written in several parts."""


def check_object_store(open_store: Callable[[], ObjectStore], rounds: int = 20) -> None:
    """Run an empty store through its port's contract; leaves objects behind.

    Args:
        open_store: opens it; called once for every writer, as by processes of their own.
        rounds: in which eight writers compete, for either condition.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    store = open_store()
    _check_small(store)
    _check_large(store)
    _check_listing(store)
    _check_competition([open_store() for _ in range(WRITERS)], rounds)


def _check_small(store: ObjectStore) -> None:
    assert store.get("small") is None, "an object was found in an empty store"
    assert store.tag("small") is None, "an object that is not there has a tag"
    assert store.replace("small", b"0", '"none"') is None, "an object was replaced that is not there"
    first = store.put_new("small", b"1")
    assert first is not None, "a new object was not written"
    assert store.put_new("small", b"2") is None, "a new object was written over one that is there"
    found = store.get("small")
    assert found is not None, "an object that was written is not there"
    assert found.data == b"1", f"an object holds {found.data!r}, not what was written"
    assert found.tag == first == store.tag("small"), "writing, reading and asking give different tags"
    second = store.replace("small", b"\x00\xff", first)
    assert second is not None, "an object was not replaced although its tag is right"
    assert second != first, "other content has the same tag"
    assert store.replace("small", b"3", first) is None, "an object was replaced although it has changed"
    found = store.get("small")
    assert found is not None, "an object vanished"
    assert found.data == b"\x00\xff", "a refused write changed an object"
    store.delete(["small", "never"])
    assert store.get("small") is None, "a deleted object is there"


def _check_large(store: ObjectStore) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, into = Path(folder, "source"), Path(folder, "into")
        assert not store.download("a/large", into), "an object that is not there was read"
        for content in (b"", bytes(range(256)) * (LARGE // 256)):
            source.write_bytes(content)
            store.upload(source, "a/large")
            assert store.download("a/large", into), "an object that was written is not there"
            assert into.read_bytes() == content, f"{len(content)} bytes did not survive"


def _check_listing(store: ObjectStore) -> None:
    for key in ("a/b=1/x", "a/é ü", "ab"):
        assert store.put_new(key, key.encode()) is not None, f"{key} was not written"
    found = {one.key: one for one in store.listed("a")}
    assert set(found) == {"a/large", "a/b=1/x", "a/é ü"}, f"below `a` there is {sorted(found)}"
    assert found["a/b=1/x"].size == len("a/b=1/x"), "a listing tells another size"
    assert all(one.modified > 0 for one in found.values()), "a listing tells no time"
    assert {one.key for one in store.listed("")} == {*found, "ab"}, "a listing of everything is another"


def _check_competition(stores: list[ObjectStore], rounds: int) -> None:
    """Of writers at once, exactly one wins, and it is what the winner wrote that is there."""
    ready = Barrier(len(stores))

    def content(number: int, key: str, tag: str | None) -> bytes:
        # never the same twice: an ETag may be a hash of the content, and then names an earlier state as well
        return f"{key} {number} after {tag}".encode()

    def write(number: int, key: str, tag: str | None) -> str | None:
        data = content(number, key, tag)
        ready.wait()
        return stores[number].put_new(key, data) if tag is None else stores[number].replace(key, data, tag)

    with ThreadPoolExecutor(len(stores)) as pool:
        tag: str | None = None
        for turn in range(2 * rounds):
            key = f"race/{turn // 2}"  # made in one round, replaced in the next
            tag = None if turn % 2 == 0 else tag
            done = list(pool.map(write, range(len(stores)), [key] * len(stores), [tag] * len(stores)))
            winners = [number for number, new in enumerate(done) if new is not None]
            how = "wrote a new object" if tag is None else "replaced an object"
            assert len(winners) == 1, f"{len(winners)} of {len(stores)} writers {how} at the same time"
            found = stores[0].get(key)
            assert found is not None, "the object of a race is not there"
            assert found.data == content(winners[0], key, tag), "what the winner wrote is not there"
            tag = found.tag
