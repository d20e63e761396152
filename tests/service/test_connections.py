"""Connections that say nothing, or not enough: they are closed, and cost nobody else an answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.service.running import HTTP, Running, running, told
from tests.steps.world import settings

HALF = b"GET /healthz HTTP/1.1\r\nhost: a\r\n"
WHOLE = HALF + b"\r\n"
BODILESS = b"POST /v1/explore HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n"
NO_SUCH = b"POST /nothing HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{"


@pytest.fixture
def narrow(copy: Path, place: Path) -> Iterator[Running]:
    """A server that takes two requests at once."""
    http = HTTP.replace("seconds = 1.0", "seconds = 2.0\nconnections = 2", 1)
    (copy / "freshet.toml").write_text(settings(place / "world", extra=http))
    with running(copy) as found:
        yield found


@contextmanager
def connected(server: Running, *sent: bytes) -> Iterator[list[socket.socket]]:
    """A connection for each of what is sent."""
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 30)) for _ in sent]
        for one, data in zip(opened, sent, strict=True):
            one.sendall(data)
        yield opened


def rest(one: socket.socket) -> bytes:
    """What comes until the server hangs up."""
    return b"".join(iter(lambda: one.recv(65_536), b""))


def test_silent_connections_are_closed_and_hold_nobody_up(narrow: Running) -> None:
    with connected(narrow, b"", HALF, HALF, WHOLE + HALF, NO_SUCH) as opened:
        assert narrow.client.get("/healthz").status_code == 200
        assert narrow.explore(user="u1")["interests"]
        said = [rest(one) for one in opened]
    assert said[:3] == [b"", b"", b""]
    assert said[3].startswith(b"HTTP/1.1 200")
    assert said[4].startswith(b"HTTP/1.1 404")


def test_beyond_the_limit_requests_are_refused_and_health_is_told(narrow: Running) -> None:
    with connected(narrow, BODILESS, BODILESS) as opened:
        reply = narrow.post("/v1/explore", {})
        while reply.status_code == 200:
            reply = narrow.post("/v1/explore", {})
        assert "under way" in told(reply, 503)
        assert reply.headers["connection"] == "close"
        assert narrow.client.get("/healthz").status_code == 200
        assert all(rest(one).startswith(b"HTTP/1.1 408") for one in opened)
    assert narrow.explore(user="u1")["interests"]
