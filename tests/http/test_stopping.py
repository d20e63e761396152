"""SIGTERM in the middle of things: who was accepted is served, what was acknowledged is kept."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import httpx
import pytest

from freshet.wiring import open_recommender
from tests.http.running import PATIENCE, Running, running


def post_until_stopped(server: Running, name: str, acknowledged: list[str], errors: list[str]) -> None:
    """Post single events until the server closes; note those that were acknowledged."""
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        for number in range(100_000):
            identity = f"{name}-{number}"
            try:
                reply = client.post("/v1/events", json={"user": name, "item": "i1", "id": identity})
            except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError):
                return
            if reply.status_code != 200:
                errors.append(reply.text)
            acknowledged.append(identity)


def test_what_was_acknowledged_before_a_stop_is_kept(copy: Path) -> None:
    acknowledged: list[str] = []
    errors: list[str] = []
    settings = copy / "freshet.toml"  # long enough to be seen while it drains
    settings.write_text(settings.read_text().replace("drain_seconds = 0.5", "drain_seconds = 5.0"))
    with running(copy) as server:
        threads = [
            threading.Thread(target=post_until_stopped, args=(server, f"t{n}", acknowledged, errors))
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        while len(acknowledged) < 40:
            threads[0].join(0.01)
        shown = server.explore(user="t0")["id"]
        server.process.send_signal(signal.SIGTERM)
        status = 200
        while status == 200:  # it still answers, and tells balancers
            ready = server.client.get("/readyz")
            status = ready.status_code
        assert (status, ready.headers["connection"]) == (503, "close")
        assert server.explore(user="t0")["interests"]
        assert server.process.wait(PATIENCE) == 0
        for thread in threads:
            thread.join()
        assert not [line for line in server.lines() if "traceback" in line or line["level"] == "error"]
    assert errors == []
    recommender = open_recommender(copy)
    store = recommender._store
    told = b"\n".join(entry.body for entry in store.events.read(0, 1_000_000)).decode("utf-8", "replace")
    assert [identity for identity in acknowledged if f'"{identity}"' not in told] == []
    impressions = b"\n".join(entry.body for entry in store.impressions.read(0, 1_000_000)).decode()
    assert shown in impressions
    recommender.close()


def test_interrupted_by_hand_it_stops_at_once_and_well(copy: Path) -> None:
    with running(copy) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE) == 0


def fill(copy: Path, server: Running) -> None:
    """Tell and show until neither can be written any more, and it says so."""
    number = 0
    while True:
        told = [{"user": f"u{n}", "item": f"i{n}", "id": f"{number}-{n}" + "x" * 200} for n in range(50)]
        refused = server.post("/v1/events", told).status_code == 503
        number += 1
        for _ in range(20 if refused else 0):
            server.explore(user="u0", interests=100, items=100)
        if "flush" in server.client.get("/readyz").json()["detail"]:
            return


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT, signal.SIGTERM]])
def test_a_stop_that_loses_impressions_says_so(copy: Path, signals: list[signal.Signals]) -> None:
    toml = copy / "freshet.toml"
    toml.write_text(toml.read_text() + "\n[serving]\nstate_gb = 0.003\n")
    with running(copy) as server:
        fill(copy, server)
        for one in signals:
            server.process.send_signal(one)
        assert server.process.wait(PATIENCE) == 2
        (line,) = [line for line in server.lines() if line["event"] == "impressions_lost"]
        assert line["level"] == "error"
        assert line["impressions"] > 0
        assert f"error: {line['impressions']:,} impressions could not be written" in server.log.read_text()


def test_stopped_in_a_hurry_it_still_writes_what_was_shown(copy: Path) -> None:
    with running(copy) as server:
        shown = [server.explore(user="u1")["id"] for _ in range(20)]
        for one in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            server.process.send_signal(one)
        assert server.process.wait(PATIENCE) == 0
    store = open_recommender(copy)._store
    kept = b"\n".join(entry.body for entry in store.impressions.read(0, 1_000_000)).decode()
    assert [one for one in shown if one not in kept] == []
    store.close()
