"""Releases are swapped and rolled back under load: no request fails, and every answer is of one release."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from freshet import operations
from freshet.http.endpoints import answer_document
from freshet.serving import Query
from freshet.storage.workspace import Workspace
from freshet.wiring import open_recommender, open_workspace
from tests.http.running import HTTP, PATIENCE, Running, running
from tests.pipeline.world import settings

SWAPS, ROLLBACKS = 12, 4


@pytest.fixture
def root(copy: Path, place: Path) -> Path:
    """A workspace that always takes the best, so that answers can be compared."""
    text = settings(place / "world", extra=HTTP + "[serving]\nexplore = 0.0\n")
    (copy / "freshet.toml").write_text(text)
    return copy


def content(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what every answer has of its own; sums may differ in their last digit, by where arrays lie."""
    offers = [{**offer, "score": round(offer["score"], 9)} for offer in answer["interests"]]
    own = {name: value for name, value in answer.items() if name not in ("id", "release")}
    return {**own, "interests": offers}


def in_process(root: Path, number: int, asks: list[tuple[str, ...]]) -> list[dict[str, Any]]:
    """What one release answers, by the library."""
    recommender = open_recommender(root)
    recommender.switch(number)
    answers = [answer_document(recommender.recommend(Query(history=ask, log=False))) for ask in asks]
    recommender.close()
    return [content(json.loads(json.dumps(answer))) for answer in answers]


class Load:
    """Clients that ask all the time."""

    def __init__(self, server: Running, asks: list[tuple[str, ...]]) -> None:
        self.server, self.asks = server, asks
        self.found: list[tuple[int, dict[str, Any]]] = []
        self.failed: list[str] = []
        self.over = False

    def ask(self) -> None:
        """One client."""
        with httpx.Client(base_url=self.server.url, timeout=PATIENCE) as client:
            while not self.over:
                for number, history in enumerate(self.asks):
                    reply = client.post("/v1/explore", json={"history": history, "log": False})
                    if reply.status_code == 200:
                        self.found.append((number, reply.json()))
                    else:
                        self.failed.append(reply.text)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Three of them."""
        threads = [threading.Thread(target=self.ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over = True
            for thread in threads:
                thread.join()

    def served(self, number: int) -> None:
        """Wait until a release answers."""
        begin = time.monotonic()
        while not self.found or self.found[-1][1]["release"] != number:
            assert time.monotonic() - begin < PATIENCE, f"release {number} was not served"
            assert not self.failed
            time.sleep(0.005)


def publish_other(ws: Workspace) -> int:
    """Publish what does not serve of the first two releases, as a new release; its number."""
    current, one, two = ws.releases.current(), ws.releases.get(1), ws.releases.get(2)
    assert current is not None
    other = one if current.table == two.table else two
    return ws.releases.publish(
        other.as_of, other.table, other.model, other.interests, "a run", other.overlay, other.ranker
    ).number


def test_swaps_and_rollbacks_fail_nothing_and_mix_nothing(root: Path, items: list[str]) -> None:
    asks = [tuple(items[n : n + 1 + n % 4]) for n in range(0, 60, 3)]
    ws = open_workspace(root)
    tables = {number: ws.releases.get(number).table for number in (1, 2)}
    expected = {tables[number]: in_process(root, number, asks) for number in (1, 2)}
    assert expected[tables[1]] != expected[tables[2]]
    with running(root) as server:
        load = Load(server, asks)
        with load.running():
            for done in range(1, SWAPS + 1):
                load.served(publish_other(ws))
                if done % (SWAPS // ROLLBACKS) == 0:
                    load.served(operations.roll_back(ws).number)
    assert load.failed == []
    assert {answer["release"] for _, answer in load.found} >= set(ws.releases.numbers()) - {1, 2}
    for number, answer in load.found:
        assert content(answer) == expected[ws.releases.get(answer["release"]).table][number]


def test_a_half_written_release_serves_nobody_and_the_old_one_goes_on(root: Path) -> None:
    ws = open_workspace(root)
    current = ws.releases.current()
    assert current is not None
    with running(root) as server:
        broken = shutil.copytree(root / "tables" / current.table, root / "tables" / "0123456789abcdef")
        next(broken.glob("*.npy")).write_bytes(b"cut off")
        ws.releases.publish(current.as_of, broken.name, current.model, current.interests, "a run")
        ready = server.client.get("/readyz")
        while not ready.json()["detail"]:
            time.sleep(0.05)
            ready = server.client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["detail"] == "reload: ArtifactError"
        assert server.logged(lambda line: broken.name in line.get("message", ""))["level"] == "error"
        assert server.explore(user="u1")["release"] == 2
        failures = 'freshet_upkeep_failures_total{task="reload"}'
        assert failures in server.client.get("/metrics").text
        operations.roll_back(ws, 1)
        while server.explore(user="u1")["release"] != 1:
            time.sleep(0.05)
        while server.client.get("/readyz").json()["detail"]:
            time.sleep(0.05)


def test_a_damaged_old_release_is_listed_as_one_and_its_place_is_told_to_nobody(root: Path) -> None:
    (root / "releases" / "1.json").write_text("{")
    with running(root) as server:
        listed = server.client.get("/v1/releases").json()["releases"]
        assert [(one["number"], one["damaged"], one["as_of"] == "") for one in listed] == [
            (2, False, False),
            (1, True, True),
        ]
        assert "freshet_release 2.0" in server.client.get("/metrics").text
        said = server.problem("/v1/releases", {"release": 1}, 404)
        assert "is damaged" in said
        assert str(root) not in said
        assert str(root) in server.logged(lambda line: line["event"] == "refused")["message"]


def test_settings_are_read_again_and_wrong_ones_change_nothing(root: Path) -> None:
    text = (root / "freshet.toml").read_text()

    def become(changed: str) -> None:
        """Moved there as a whole: a server that looks while a file is written sees a part of it."""
        aside = root / "freshet.toml.new"
        aside.write_text(changed)
        aside.replace(root / "freshet.toml")

    with running(root) as server:
        assert "web page of another site" in server.problem(
            "/v1/events", {}, 403, origin="http://evil.example"
        )
        best = server.explore(items=0)["interests"][0]["description"]
        become(f"{text}\n[table]\nblocked = ['{best}']\n")
        while best in [offer["description"] for offer in server.explore(items=0)["interests"]]:
            time.sleep(0.05)
        become(f"{text}\n[table]\nblokced = ['{best}']\n")
        while server.client.get("/readyz").json()["detail"] != "reload: ConfigError":
            time.sleep(0.05)
        assert server.logged(lambda line: "blokced" in line.get("message", ""))["level"] == "error"
        assert best not in [offer["description"] for offer in server.explore(items=0)["interests"]]


def test_a_workspace_without_a_release_says_what_makes_one(place: Path, tmp_path: Path) -> None:
    from tests.cli.conftest import called

    (tmp_path / "freshet.toml").write_text(settings(place / "world"))
    done = called("serve", "-w", tmp_path, "--port", 0)
    assert done.returncode == 2
    assert "freshet run" in done.stderr
