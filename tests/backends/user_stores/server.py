"""A Redis server of our own, on a free port."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
import redis

NEEDED = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
TRIES = 5
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Server:
    """`redis-server` in a folder; starts when entered, ends when left."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.options = options or DURABLE
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens; stays as it is once it has been entered."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Returns when it answers; raises RuntimeError if it ends, such as where somebody took its port."""
        self.folder.mkdir(parents=True, exist_ok=True)
        own = ["--port", str(self.port), "--dir", str(self.folder), "--bind", "127.0.0.1", "--save", ""]
        self.process = subprocess.Popen(
            ["redis-server", *own, *self.options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with redis.Redis(port=self.port) as client:
            while self.process.poll() is None:
                with suppress(redis.ConnectionError):
                    client.ping()  # which it refuses while it loads
                    if client.info("server")["process_id"] == self.process.pid:
                        return
                time.sleep(0.02)
        raise RuntimeError(f"redis-server does not answer; it ended with {self.process.poll()}")

    def kill(self) -> None:
        """As `kill -9` does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Server:
        for _ in range(TRIES):
            with suppress(RuntimeError):  # a port that was free may be another's by now
                self.start()
                return self
            self.port = free_port()
        raise RuntimeError(f"redis-server did not start in {TRIES} tries")

    def __exit__(self, *error: object) -> None:
        self.kill()
