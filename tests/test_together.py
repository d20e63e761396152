"""Everything at once: a bucket, a stream, Redis, a cluster and the service; parts of it die, nothing is lost.

The servers are real: SeaweedFS speaks S3, Tansu speaks Kafka's protocol (and keeps its topics in the bucket, so
that it can die), Redis, a Ray cluster of two nodes. The people are SIMULATED (`freshet.simulator`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import redis

from freshet.stages.events import EventLog
from tests.backends.executors.cluster import machine
from tests.backends.streams.kafka_server import NEEDED_KAFKA, KafkaServer, send
from tests.backends.user_stores.server import NEEDED, Server
from tests.http.running import HTTP, PATIENCE, Running
from tests.pipeline.world import EVIDENCE, FAKE, INTERESTS, make_world
from tests.servers import NEEDS_S3, S3Server, s3_server

pytestmark = [pytest.mark.slow, NEEDED, NEEDED_KAFKA, NEEDS_S3]

TOPIC = "events"
GATE = 3
"""Exit code of a run that a gate halted."""
PARTITIONS = 3
LATER = datetime(2024, 2, 19, tzinfo=UTC)
"""The stream brings what came before first, and the rest when there is a release."""


class LastingKafka(KafkaServer):
    """The Kafka server of tests, but its topics are in the bucket and outlive it."""

    def __init__(self, s3: S3Server) -> None:
        super().__init__()
        self.storage = "s3://kafka/"
        self.env = {**os.environ, **s3.env, "AWS_ENDPOINT": s3.endpoint, "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass
class Place:
    """Where the workspace lies, and what it stands on."""

    url: str
    folder: Path
    s3: S3Server
    kafka: LastingKafka
    redis: Server
    cluster: Any
    events: list[dict[str, Any]]

    def env(self, machine: str) -> dict[str, str]:
        """Of a machine: it has a cache of its own, and shares nothing with the others."""
        return {
            **os.environ,
            **self.s3.env,
            "FRESHET_CACHE": str(self.folder / machine),
            "FRESHET_LEASE_SECONDS": "5",
            "FRESHET_DEBUG": "",
        }

    def start(self, machine: str, *arguments: str, workspace: bool = True) -> subprocess.Popen[str]:
        """A command that goes on while the test does."""
        where = ["-w", self.url] if workspace else []
        with (self.folder / f"{machine}.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "freshet", arguments[0], *where, *arguments[1:], "--json"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self.env(machine),
            )

    def does(self, machine: str, *arguments: str, workspace: bool = True) -> dict[str, Any]:
        """A command that ends well, and its document."""
        started = self.start(machine, *arguments, workspace=workspace)
        out, _ = started.communicate(timeout=900)
        said = (self.folder / f"{machine}.log").read_text()
        assert started.returncode == 0, said[-3000:]
        assert "Traceback" not in said
        return dict(json.loads(out))

    def checkout(self, machine: str) -> Path:
        """The workspace's folder on a machine."""
        (found,) = (self.folder / machine / "workspaces").iterdir()
        return found

    def send(self, events: list[dict[str, Any]]) -> None:
        send(self.kafka.servers, TOPIC, [json.dumps(one).encode() for one in events])

    def read_stream(self, machine: str) -> int:
        """Read until nothing is left: what this server names as the end lies before a batch's last messages."""
        total = 0
        for _ in range(20):
            read = self.does(machine, "stream", "--once")["read"]
            total += read
            if not read:
                return int(total)
        raise AssertionError("it has no end")


def until(happens: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for it, or for the process that should do it to end."""
    end = time.monotonic() + 5 * PATIENCE
    while not happens() and (process is None or process.poll() is None):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


@pytest.fixture
def place(tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    world = make_world(tmp_path / "world")
    rows = pq.read_table(world / "events.parquet").to_pylist()
    events = [{**row, "timestamp": row["timestamp"].isoformat(), "id": f"e{n}"} for n, row in enumerate(rows)]
    with s3_server(tmp_path / "s3") as s3, Server(tmp_path / "redis") as users:
        s3.make_bucket("shop")
        s3.make_bucket("kafka")
        for name, value in s3.env.items():
            monkeypatch.setenv(name, value)
        with LastingKafka(s3) as kafka:
            kafka.make_topic(TOPIC, PARTITIONS)
            made = Place("s3://shop/w", tmp_path, s3, kafka, users, cluster, events)
            (tmp_path / "new").mkdir()
            (tmp_path / "new/freshet.toml").write_text(
                f"""
executor = "ray"
[ray]
address = "{cluster.address}"
[events]
items = {json.dumps(str(world / "items.parquet"))}
positive = "value >= 7"
[events.columns]
id = "id"
[stream]
kind = "kafka"
servers = "{kafka.servers}"
topic = "{TOPIC}"
batch_rows = 400
[interests]
count = {INTERESTS}
[counts]
window_days = 7
fit_windows = 2
[planner]
kind = "scratch"
[tuning]
epochs = 1
[serving]
state = "{users.url}"
[export]
to = ["{users.url[:-1]}1?prefix=given"]
{EVIDENCE}
{FAKE}
{HTTP}
"""
            )
            made.does("laptop", "copy", str(tmp_path / "new"), made.url, workspace=False)
            yield made


@contextmanager
def served(place: Place, machine: str) -> Iterator[Running]:
    process = place.start(machine, "serve", "--port", "0")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (place.folder / f"{machine}.log").read_text()[-3000:]
        server = Running(process, json.loads(line)["url"], place.folder / f"{machine}.log")
        with server.client:
            yield server
    finally:
        process.kill()
        process.communicate()


def test_nothing_is_lost(place: Place) -> None:
    early = [one for one in place.events if one["timestamp"] < LATER.isoformat()]
    late = [one for one in place.events if one["timestamp"] >= LATER.isoformat()]
    assert len(early) > 2000
    assert len(late) > 200

    stream_killed_in_the_middle(place, early)
    release = run_killed_in_the_middle(place)

    with served(place, "web-1") as first, served(place, "web-2") as second:
        assert recommends(first) == recommends(second) == release
        told = [told_of(first, f"web-{n}") for n in range(5)]
        first.process.kill()
        told += [told_of(second, f"web-{n}") for n in range(3, 8)]  # two of them a second time

        bucket_away(place, second, release)
        told.append(redis_away(place, second))

        place.send(late)
        place.send(late[:50])  # what a producer does that got no answer
        place.read_stream("box-2")
        place.does("box-2", "collect")
        refreshed = place.does("box-2", "refresh")
        assert refreshed["run"]["release"] == release + 1
        until(lambda: recommends(second) == release + 1, second.process)
        shown = recommended(second)["id"]
        assert second.stop() == 0
    place.does("box-2", "collect")

    place.does("anywhere", "copy", place.url, str(place.folder / "whole"), workspace=False)
    whole = place.folder / "whole"
    log = EventLog(whole).snapshot()
    kept = [one for day in log.days for one in pq.ParquetFile(day.path).read(["id"])["id"].to_pylist()]
    assert sorted(kept) == sorted({one["id"] for one in place.events} | set(told))
    impressions = [
        pq.ParquetFile(path).read(["id"])["id"].to_pylist() for path in whole.glob("impressions/*/*.parquet")
    ]
    assert shown in {one for part in impressions for one in part}
    assert place.does("box-2", "doctor", "--repair")[
        "healthy"
    ]  # a killed run never ended; nothing is damaged
    given_away(place, whole, release + 1)


def stream_killed_in_the_middle(place: Place, events: list[dict[str, Any]]) -> None:
    """Its machine is lost with all that is on it; the broker dies, too."""
    place.send(events)
    snapshots = "workspaces/*/events/log/*.json"
    with place.start("lost", "stream", "--once") as first:
        until(lambda: len(list((place.folder / "lost").glob(snapshots))) >= 2, first)
        first.kill()
    shutil.rmtree(place.folder / "lost")
    place.kafka.kill()
    place.kafka.start()
    assert place.read_stream("box-1") > 0


def run_killed_in_the_middle(place: Place) -> int:
    """A node of the cluster goes while it counts, and the driver while its planner is asked."""
    node = machine(place.cluster)
    with place.start("box-1", "run") as first:
        until(lambda: any(place.checkout("box-1").glob("days/engagements/*")), first)
        place.cluster.remove_node(node, allow_graceful=False)
        assert first.wait(900) == GATE  # so small a model earns nothing: a person lets it pass
    (waits,) = [one for one in place.does("box-2", "history")["runs"] if one["outcome"] == "waiting"]
    place.does("box-2", "approve", waits["id"], "--by", "test")
    with place.start("box-1", "run") as second:
        until(lambda: any(place.checkout("box-1").glob("work/*.npz")), second)
        assert second.poll() is None
        second.kill()
    return int(place.does("box-2", "run")["run"]["release"])


def bucket_away(place: Place, server: Running, release: int) -> None:
    """What serves goes on, and a command says what is wrong."""
    place.s3.kill()
    try:
        assert recommends(server) == release
        with place.start("laptop", "status") as said:
            assert said.wait(PATIENCE) != 0
        assert "Traceback" not in (place.folder / "laptop.log").read_text()
    finally:
        place.s3.start()

    def is_back() -> bool:  # it listens before it can read its files
        with place.start("laptop", "status") as said:
            return said.wait(PATIENCE) == 0

    until(is_back, server.process)
    assert place.does("laptop", "status")["release"]["number"] == release


def redis_away(place: Place, server: Running) -> str:
    """Answers are for unknown users, events are refused; the same event is taken when it is back."""
    place.redis.kill()
    assert recommended(server)["degraded"]
    assert server.post("/v1/events", event("after")).status_code == 503
    place.redis.start()
    until(lambda: server.post("/v1/events", event("after")).status_code == 200, server.process)
    until(lambda: not recommended(server)["degraded"], server.process)
    return "after"


def event(name: str) -> dict[str, Any]:
    when = datetime(2024, 2, 20, tzinfo=UTC) + timedelta(minutes=len(name))
    return {"user": "somebody", "item": "item00001", "value": 9, "time": when.isoformat(), "id": name}


def told_of(server: Running, name: str) -> str:
    """The id of an event that was acknowledged."""
    assert server.post("/v1/events", event(name)).status_code == 200
    return name


def recommended(server: Running) -> dict[str, Any]:
    return server.explore(user="somebody", interests=3, items=2)


def recommends(server: Running) -> int:
    found = recommended(server)
    assert found["interests"]
    return int(found["release"])


def given_away(place: Place, whole: Path, release: int) -> None:
    """Redis has the release that serves."""
    with redis.Redis.from_url(f"{place.redis.url[:-1]}1") as client:
        current = client.get("{given}:current")
        assert current is not None
        assert current.decode().startswith(f"{release}-")
