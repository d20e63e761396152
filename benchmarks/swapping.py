"""Releases swapped and rolled back under load; `serving.py` says what is reported."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq

import load
from freshet import operations, pipeline
from freshet.core.types import AsOf
from freshet.http.endpoints import answer_document
from freshet.serving import Query
from freshet.simulator import World, generate
from freshet.wiring import open_recommender, open_workspace
from load import run
from shared import serving

SETTINGS = """[events]
files = ["world/events.parquet"]
items = "world/items.parquet"
positive = "value >= 7"
[interests]
count = 30
[planner]
kind = "counts"
[serving]
explore = 0.0
[http]
drain_seconds = 0.0
"""


@dataclass
class Watched:
    """What came back while releases were swapped."""

    expected: dict[str, list[Any]]
    table_of: dict[int, str] = field(default_factory=dict)
    newest: int = 0
    checked: int = 0
    mixed: int = 0
    seen: set[int] = field(default_factory=set)

    def check(self, number: int, status: int, body: bytes) -> None:
        """Compare an answer with what its release alone would answer."""
        if status != 200:
            return
        answer = orjson.loads(body)
        release = answer["release"]
        self.newest = release
        self.seen.add(release)
        self.checked += 1
        self.mixed += content(answer) != self.expected[self.table_of[release]][number]


def content(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what every answer has of its own; sums may differ in their last digit, by where arrays lie."""
    offers = [{**offer, "score": round(offer["score"], 9)} for offer in answer["interests"]]
    own = {name: value for name, value in answer.items() if name not in ("id", "release")}
    return {**own, "interests": offers}


def swapped(folder: Path, users: int, seconds: float, swaps: int, rollbacks: int) -> dict[str, Any]:
    """Publish and roll back under load."""
    root = folder / "shop"
    tables = two_releases(root, users)
    asks = histories(root)
    watched = Watched({}, dict(zip((1, 2), tables, strict=True)))
    for number, table in zip((1, 2), tables, strict=True):
        watched.expected[table] = in_process(root, number, asks)
    assert watched.expected[tables[0]] != watched.expected[tables[1]]
    requests = [
        load.post("/v1/explore", orjson.dumps({"history": ask, "items": 3, "log": False})) for ask in asks
    ]
    with serving(root) as served:
        driver = Driver(root, watched, seconds, swaps, rollbacks)
        thread = threading.Thread(target=driver.drive)
        thread.start()
        outcome = run(
            load.closed(served.port, requests, 10 * seconds, 8, watched.check, lambda: not thread.is_alive())
        )
        thread.join()
    return {
        "swaps": driver.published,
        "rollbacks": driver.rolled_back,
        "seconds": round(driver.took, 1),
        "requests": len(outcome.seconds),
        "failed": outcome.failed,
        "checked": watched.checked,
        "mixed": watched.mixed,
        "releases_seen": len(watched.seen),
        "longest_ms": round(max(outcome.seconds) * 1e3, 1),
        "p99_ms": round(outcome.quantile(0.99) * 1e3, 1),
    }


@dataclass
class Driver:
    """Publishes and rolls back, each once the last one answers."""

    root: Path
    watched: Watched
    seconds: float
    swaps: int
    rollbacks: int
    published: int = 0
    rolled_back: int = 0
    took: float = 0.0

    def drive(self) -> None:
        """Ends when all is done."""
        ws = open_workspace(self.root)
        begin = time.perf_counter()
        every = self.swaps // self.rollbacks if self.rollbacks else self.swaps + 1
        total = self.swaps + self.rollbacks
        while self.published < self.swaps:
            current, one, two = ws.releases.current(), ws.releases.get(1), ws.releases.get(2)
            assert current is not None
            other = one if current.table == two.table else two
            self.watched.table_of[max(ws.releases.numbers()) + 1] = other.table
            release = ws.releases.publish(
                other.as_of,
                other.table,
                other.model,
                other.interests,
                "a swap",
                other.overlay,
                other.ranker,
            )
            self.published += 1
            self._served(release.number)
            if self.published % every == 0 and self.rolled_back < self.rollbacks:
                back = operations.roll_back(ws)
                self.rolled_back += 1
                self._served(back.number)
            due = begin + self.seconds * (self.published + self.rolled_back) / total
            time.sleep(max(0.0, due - time.perf_counter()))
        self.took = time.perf_counter() - begin

    def _served(self, number: int) -> None:
        give_up = time.perf_counter() + 20
        while self.watched.newest != number:
            if time.perf_counter() > give_up:
                raise SystemExit(f"release {number} was not served within 20 s")
            time.sleep(0.005)


def two_releases(root: Path, users: int) -> tuple[str, str]:
    """A SIMULATED workspace with two releases; their tables."""
    generate(World(themes=20, items=1500, users=users, days=70, change_day=50), root / "world")
    (root / "freshet.toml").write_text(SETTINGS)
    ws = open_workspace(root)
    operations.import_log(ws, datetime.now(UTC))
    for day in ("2024-02-20", "2024-03-05"):
        pipeline.refresh(ws, AsOf.parse(day), publish=True)
    one, other = (ws.releases.get(number).table for number in (1, 2))
    return one, other


def histories(root: Path) -> list[list[str]]:
    """Histories of one to ten items of the world."""
    items = pq.read_table(root / "world" / "items.parquet")["item_id"].to_pylist()
    rng = np.random.default_rng(0)
    return [[items[i] for i in rng.integers(0, len(items), 1 + n % 10)] for n in range(300)]


def in_process(root: Path, number: int, asks: list[list[str]]) -> list[Any]:
    """What one release answers, by the library."""
    recommender = open_recommender(root)
    recommender.switch(number)
    answers = [recommender.recommend(Query(history=tuple(ask), items=3, log=False)) for ask in asks]
    recommender.close()
    return [content(orjson.loads(orjson.dumps(answer_document(answer)))) for answer in answers]
