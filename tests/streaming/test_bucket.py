"""A stream into the log of a workspace in a bucket that is away for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from freshet.backends.local_store import LocalStore
from freshet.core.errors import FreshetError, StoreUnreachable
from freshet.storage.remote.bucket_store import BucketStore
from freshet.storage.remote.bucket_workspace import BucketWorkspace
from freshet.storage.remote.checkout import Checkout
from freshet.storage.workspace import Workspace
from freshet.streaming import log_consumer
from tests.backends.user_stores.server import NEEDED, Server
from tests.storage.remote.memory_store import MemoryStore, Objects
from tests.streaming.shops import check_whole, consumed, event, shop, state
from tests.streaming.test_redis import send

pytestmark = [NEEDED, pytest.mark.slow]
PATIENCE = 120.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "redis") as running:
        yield running


def machine(root: Path, server: Server, store: MemoryStore) -> Workspace:
    """A machine of its own with the workspace."""
    ws = shop(root, "redis", server.url, field="json", batch_rows=100)
    bucket = BucketWorkspace("s3://shop", store, Checkout(root))
    (root / ".bucket").mkdir(exist_ok=True)
    return replace(ws, store=BucketStore(LocalStore(root), bucket), bucket=bucket)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_bucket_that_is_away_for_a_while(server: Server, tmp_path: Path, when: str) -> None:
    objects, away, failed = Objects(), threading.Event(), threading.Event()

    def request(what: str, key: str) -> None:
        if away.is_set() and what != "get" and threading.current_thread().name != "bucket-lease":
            failed.set()
            raise StoreUnreachable(f"{what} {key}", retryable=True)

    ws = machine(tmp_path / "a", server, MemoryStore(objects, **{when: request}))
    assert ws.bucket is not None
    ws.bucket.create()
    send(server, [event(n) for n in range(300)])
    consumed(ws)
    stop = threading.Event()
    problems: list[FreshetError] = []

    def read() -> None:
        try:
            consumed(ws, False, None, stop)
        except FreshetError as error:
            problems.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    away.set()
    send(server, [event(n) for n in range(300, 500)] + [b"poison"])
    assert failed.wait(PATIENCE)
    away.clear()
    until = time.monotonic() + PATIENCE
    while state(ws).read < 501 and time.monotonic() < until and reader.is_alive():
        time.sleep(0.05)
    stop.set()
    reader.join(PATIENCE)
    assert problems == []
    other = machine(tmp_path / "b", server, MemoryStore(objects))
    assert other.bucket is not None
    other.bucket.pull()
    check_whole(other, range(500), read=501, refused=1)


def test_a_call_that_is_to_end_does_not_wait_for_a_bucket_without_end(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_consumer, "PATIENCE", 0.2)
    objects, away = Objects(), threading.Event()

    def request(what: str, key: str) -> None:
        if away.is_set():
            raise StoreUnreachable(f"{what} {key}", retryable=True)

    ws = machine(tmp_path / "a", server, MemoryStore(objects, request))
    assert ws.bucket is not None
    ws.bucket.create()
    send(server, [event(n) for n in range(300)])
    away.set()
    with pytest.raises(StoreUnreachable):
        consumed(ws)
    away.clear()
    consumed(ws)
    other = machine(tmp_path / "b", server, MemoryStore(objects))
    assert other.bucket is not None
    other.bucket.pull()
    check_whole(other, range(300), read=300)
