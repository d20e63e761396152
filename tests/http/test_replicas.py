"""Two servers on one Redis: they share what they are told, and outlive its absence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from freshet import operations
from freshet.stages.events import EventLog
from freshet.wiring import existing_user_store, open_workspace
from tests.backends.user_stores.server import NEEDED, Server
from tests.http.running import Running, running

pytestmark = NEEDED


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "redis") as started:
        yield started


def soon(true: Callable[[], bool]) -> None:
    """Wait until it is true, two minutes at most: others' events are looked for five times per second."""
    for _ in range(1200):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("it never came true")


def tell(server: Running, items: list[str], start: int, count: int) -> int:
    """Status of telling events of one user."""
    told = [
        {
            "user": "both",
            "item": items[n % len(items)],
            "value": 9.0,
            "id": f"e{n}",
        }
        for n in range(start, start + count)
    ]
    return server.post("/v1/events", told).status_code


def test_replicas_share_a_state_that_goes_away_and_comes_back(
    copy: Path, redis: Server, items: list[str]
) -> None:
    settings = copy / "freshet.toml"
    settings.write_text(settings.read_text() + f'\n[serving]\nstate = "{redis.url}"\nexplore = 0\n')
    with running(copy, "--no-auth") as one, running(copy, "--no-auth") as other:
        assert one.explore(user="both")["context"] == []
        assert tell(one, items, 0, 5) == 200
        context = one.explore(user="both")["context"]
        assert context
        assert other.explore(user="both")["context"] == context
        reply = other.post("/v1/events", {"user": "both", "item": items[0], "id": "e0"})
        assert reply.json()["receipts"][0]["status"] == "duplicate"

        redis.kill()
        for server in (one, other):
            alone = server.explore(user="both")
            assert alone["degraded"]
            assert len(alone["interests"]) == 3
        assert tell(one, items, 5, 5) == 503

        redis.start()
        soon(lambda: not other.explore(user="both")["degraded"])
        assert other.explore(user="both")["context"] == context, "what was acknowledged is there again"
        soon(lambda: tell(other, items, 5, 5) == 200)
        soon(lambda: one.client.get("/readyz").status_code == 200)
        # the servers are killed: what is not written by then is lost
        soon(lambda: "freshet_impressions_waiting 0.0" in one.client.get("/metrics").text)
    ws = open_workspace(copy)
    state = existing_user_store(copy, ws.config)
    assert state is not None
    found = operations.collect(ws, state, datetime.now(UTC))[1]
    state.close()
    assert (found.events, found.added) == (10, 10)
    assert EventLog(copy).snapshot().rows > 10
    assert found.impressions > 0
