"""`freshet stream` against Redis: nothing lost, nothing twice."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from freshet.core.errors import StreamGap
from freshet.stages.events import snapshots
from freshet.streaming import seen_streams
from freshet.wiring import open_workspace
from tests.backends.user_stores.server import NEEDED, Server
from tests.streaming.shops import check_whole, consumed, event, ids, shop, started, state

pytestmark = [NEEDED, pytest.mark.slow]
PATIENCE = 120.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "redis") as running:
        yield running


def send(server: Server, bodies: list[bytes]) -> None:
    with redis.Redis.from_url(server.url) as client:
        for body in bodies:
            client.xadd("events", {"json": body})


def test_entries_enter_the_log_with_their_ids(server: Server, tmp_path: Path) -> None:
    ws = shop(tmp_path / "ws", "redis", server.url, field="json")
    send(server, [event(n) for n in range(900)] + [b"poison", event(5)])
    assert consumed(ws).duplicates == 1
    check_whole(ws, range(900), read=902, refused=1)
    [seen] = seen_streams(ws)
    assert (seen.name, seen.read, seen.behind) == ("redis/events", 902, {"0": 0})
    send(server, [event(n) for n in range(900, 950)])
    assert consumed(ws).read == 50
    check_whole(ws, range(950), read=952, refused=1)


def test_fields_are_columns(server: Server, tmp_path: Path) -> None:
    ws = shop(tmp_path / "ws", "redis", server.url)
    with redis.Redis.from_url(server.url) as client:
        for number in range(3):
            client.xadd("events", json.loads(event(number)))
    consumed(ws)
    check_whole(ws, range(3), read=3)


def test_two_readers_and_a_killed_one(server: Server, tmp_path: Path) -> None:
    """Redis has no members that share: who is later finds that the log is further, and reads on there."""
    ws = shop(tmp_path / "ws", "redis", server.url, field="json", batch_rows=60)
    send(server, [event(n) for n in range(1500)])
    process = started(ws)
    stop = threading.Event()
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.append(consumed(ws, False, None, stop)))
    reader.start()
    until = time.monotonic() + PATIENCE
    while len(snapshots.listed(ws.root)) < 6 and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(random.Random(3).uniform(0, 0.5))
    process.kill()
    process.communicate()
    while state(ws).read < 1500 and time.monotonic() < until:
        time.sleep(0.1)
    stop.set()
    reader.join(PATIENCE)
    assert len(found) == 1
    check_whole(ws, range(1500), read=1500)


def test_a_trimmed_stream(server: Server, tmp_path: Path) -> None:
    ws = shop(tmp_path / "ws", "redis", server.url, field="json")
    send(server, [event(n) for n in range(20)])
    consumed(ws)
    send(server, [event(n) for n in range(20, 60)])
    with redis.Redis.from_url(server.url) as client:
        client.xtrim("events", maxlen=10, approximate=False)
    with pytest.raises(StreamGap, match="30 messages were lost before they were read: trimmed"):
        consumed(ws)
    check_whole(ws, range(20), read=20)
    found = consumed(shop(tmp_path / "ws", "redis", server.url, field="json", gaps="continue"))
    assert (found.read, found.lost) == (10, 30)
    check_whole(ws, [*range(20), *range(50, 60)], read=30)
    assert state(ws).lost == 30


def test_imports_carry_the_offsets_on_and_damage_takes_them_back(server: Server, tmp_path: Path) -> None:
    ws = shop(tmp_path / "ws", "redis", server.url, field="json")
    send(server, [event(n) for n in range(10)])
    consumed(ws)
    file = tmp_path / "more.jsonl"
    file.write_bytes(event(77) + b"\n")
    from datetime import UTC, datetime

    from freshet import operations

    operations.import_log(ws, datetime.now(UTC), [file])
    assert state(ws).read == 10
    assert len(ids(ws)) == 11
    assert consumed(ws).read == 0
    path = snapshots.place(ws.root, snapshots.listed(ws.root)[-1])
    path.write_text("{")
    from freshet import doctor

    doctor.check(ws, True)
    assert state(ws).read == 10
    assert len(ids(ws)) == 10


def test_the_server_is_restarted(server: Server, tmp_path: Path) -> None:
    ws = shop(tmp_path / "ws", "redis", server.url, field="json", batch_rows=50)
    send(server, [event(n) for n in range(200)])
    process = started(ws, "--json")
    until = time.monotonic() + PATIENCE
    while not snapshots.listed(ws.root) and time.monotonic() < until:
        time.sleep(0.02)
    server.kill()
    time.sleep(1.5)
    server.start()
    send(server, [event(n) for n in range(200, 400)])
    while state(open_workspace(ws.root)).read < 400 and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    told, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert json.loads(told)["read"] == 400
    assert "can't be reached" in said
    check_whole(ws, range(400), read=400)
