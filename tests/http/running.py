"""`freshet serve` as a process of its own."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 120
"""Seconds that a test waits for what should happen at once: the machine may be busy."""

HTTP = """
[http]
body_bytes = 4000000
batch = 20
events = 50
seconds = 60.0
drain_seconds = 0.5
oldest_event_days = 36500
"""
"""Small limits, so that tests reach them soon; long ones for what a busy machine may be slow at."""

SMALL = """
[http]
body_bytes = 100000
seconds = 6.0
drain_seconds = 0
open_connections = 40
idle_seconds = 15
hosts = ["rec.internal"]
origins = ["https://shop.example"]
"""
"""Smaller ones of connections, and who else may ask."""


@dataclass
class Running:
    """A server; `log` is where its standard error goes, `key` what its client sends, '' = none."""

    process: subprocess.Popen[str]
    url: str
    log: Path
    key: str = ""
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE, headers=self.auth)

    @property
    def auth(self) -> dict[str, str]:
        """The header that a key is sent in."""
        return {"authorization": f"Bearer {self.key}"} if self.key else {}

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """Send JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(path, content=content, headers=headers)

    def explore(self, **ask: Any) -> dict[str, Any]:
        """An answer."""
        reply = self.post("/v1/explore", ask)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def problem(self, path: str, body: Any, status: int, **headers: str) -> str:
        """What is said of a bad request: always the same four fields."""
        reply = self.post(path, body, **headers)
        return told(reply, status)

    def logged(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first line of the log of which something is true, once there is one."""
        until = time.monotonic() + PATIENCE
        while not (found := [line for line in self.lines() if true(line)]):
            assert time.monotonic() < until, "nothing like that was logged"
            time.sleep(0.05)
        return found[0]

    def lines(self) -> list[dict[str, Any]]:
        """The log so far; it is written five times a second."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def told(reply: httpx.Response, status: int) -> str:
    """The message of a problem."""
    assert reply.status_code == status, reply.text
    document = reply.json()
    assert set(document) == {"error", "message", "hint", "request_id"}
    assert document["request_id"] == reply.headers["x-request-id"]
    assert "Traceback" not in reply.text
    assert document["error"]
    return f"{document['message']} {document['hint']}"


def request(method: str, target: str, *headers: str, body: bytes = b"", host: str = "localhost") -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def posted(target: str, body: bytes, *headers: str) -> bytes:
    """The same with a body."""
    return request("POST", target, f"Content-Length: {len(body)}", *headers, body=body)


def rest(one: socket.socket) -> bytes:
    """What comes until the server hangs up."""
    return b"".join(iter(lambda: one.recv(65_536), b""))


def exchanged(server: Running, sent: bytes) -> tuple[int, bytes]:
    """(status, all that is said) in answer to these bytes, with which the client is done."""
    with socket.create_connection(("127.0.0.1", server.port), 30) as one:
        with suppress(OSError):  # it may hang up before it has read all
            one.sendall(sent)
            one.shutdown(socket.SHUT_WR)
        said = rest(one)
    return int(said.split(b" ", 2)[1]), said


@contextmanager
def running(root: Path, *options: str, key: str = "", files: int = 0) -> Iterator[Running]:
    """A server on any free port, which ends with the block; it may open so many files, 0 = as many as we."""

    def limit() -> None:
        if files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    log = root.parent / f"{root.name}.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "freshet", "serve", "-w", str(root), "--port", "0", "--json", *options],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            preexec_fn=limit,
            env={**os.environ, "FRESHET_DEBUG": ""},
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        server = Running(process, json.loads(line)["url"], log, key)
        with server.client:
            yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
        process.stdout.close()
