"""A server that reads a stream: what comes that way, by request, or both ways counts once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from freshet import operations
from freshet.stages.events import EventLog
from freshet.streaming import LogConsumer
from freshet.wiring import existing_user_store, open_workspace
from freshet.wiring_streams import open_stream
from tests.backends.streams.kafka_server import NEEDED_KAFKA, KafkaServer
from tests.http.running import running
from tests.http.test_replicas import soon

pytestmark = [NEEDED_KAFKA, pytest.mark.slow]
DAY = 1_708_000_000
"""In the world's last days."""


@pytest.fixture
def kafka() -> Iterator[KafkaServer]:
    with KafkaServer() as server:
        server.make_topic("events", 3)
        yield server


def event(number: int, items: list[str], **changes: object) -> bytes:
    content = {
        "user_id": "live",
        "item_id": items[number % len(items)],
        "timestamp": DAY + number,
        "value": 9,
    }
    return json.dumps(content | changes).encode()


def recorded(root: Path) -> int:
    """Events in the journal."""
    ws = open_workspace(root)
    users = existing_user_store(root, ws.config)
    assert users is not None
    try:
        return len(users.events.read(0, 10_000))
    finally:
        users.close()


def test_one_event_by_stream_and_request_and_both_into_the_log(
    copy: Path, kafka: KafkaServer, items: list[str]
) -> None:
    """Events without ids: (user, item, time) is their identity on every way."""
    stream = (
        f'kind = "kafka"\nservers = "{kafka.servers}"\ntopic = "events"\nlive = true\nbatch_seconds = 0.5'
    )
    settings = copy / "freshet.toml"
    settings.write_text(settings.read_text() + f"\n[stream]\n{stream}\n")
    before = EventLog(copy).snapshot().rows
    kafka.send("events", [event(n, items) for n in range(40)] + [b"poison", event(3, items)])
    with running(copy, "--no-auth") as server:
        posted = [
            {
                "user": "live",
                "item": items[n % len(items)],
                "value": 9,
                "time": datetime.fromtimestamp(DAY + n, UTC).isoformat(),
            }
            for n in range(30, 50)
        ]
        assert server.post("/v1/events", posted).status_code == 200
        soon(_told(server.client.get, 'freshet_events_total{status="refused"} 1.0'))
        assert server.explore(user="live")["context"] != []
    assert recorded(copy) == 50
    with running(copy, "--no-auth") as server:  # goes on where it was
        kafka.send("events", [event(60, items)])
        soon(_told(server.client.get, 'freshet_events_total{status="recorded"} 1.0'))
    assert recorded(copy) == 51
    ws = open_workspace(copy)
    found = LogConsumer(ws, ws.config.stream, lambda start: open_stream(ws.config.stream, start)).run(
        _never(), once=True
    )
    assert (found.read, found.added, found.duplicates) == (43, 41, 1)
    users = existing_user_store(copy, ws.config)
    assert users is not None
    _, collected = operations.collect(ws, users, datetime.now(UTC))
    users.close()
    assert (collected.events, collected.added, collected.duplicates) == (51, 10, 41)
    assert EventLog(copy).snapshot().rows == before + 51


def _told(get: Callable[..., object], line: str) -> Callable[[], bool]:
    def true() -> bool:
        time.sleep(0.05)
        return line in get("/metrics").text  # type: ignore[attr-defined]

    return true


def _never() -> object:
    from threading import Event

    return Event()
