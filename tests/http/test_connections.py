"""What comes over a socket before it is a request, or isn't one: bounded, and it costs nobody else an answer."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from freshet.storage.workspace import Workspace
from tests.http.running import HTTP, PATIENCE, Running, exchanged, posted, request, rest, running, told
from tests.pipeline.world import settings

HALF = b"GET /healthz HTTP/1.1\r\nhost: a\r\n"
WHOLE = HALF + b"\r\n"
BODILESS = b"POST /v1/explore HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\n"
NO_SUCH = b"POST /nothing HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\n{"
CHUNKED = request("POST", "/v1/explore", "Transfer-Encoding: chunked")
MIB = 1 << 20


@pytest.fixture
def narrow(copy: Path, place: Path) -> Iterator[Running]:
    """A server that takes two requests at once."""
    http = HTTP.replace("seconds = 60.0", "seconds = 5.0\nconnections = 2\nidle_seconds = 8", 1)
    (copy / "freshet.toml").write_text(settings(place / "world", extra=http))
    with running(copy) as found:
        yield found


@pytest.fixture(scope="session")
def calm(shop: Workspace, place: Path) -> Iterator[Running]:
    """A server with 40 connections at most that closes none for its silence while a test is at work."""
    with patient(Path(shutil.copytree(shop.root, place / "calm")), place, seconds=PATIENCE) as found:
        yield found


@contextmanager
def patient(root: Path, place: Path, seconds: float) -> Iterator[Running]:
    """A server that gives requests so many seconds, and the idle as long as a test waits for anything."""
    limits = f"seconds = {seconds}\nidle_seconds = {PATIENCE}\nopen_connections = 40\n"
    (root / "freshet.toml").write_text(settings(place / "world", extra=f"[http]\n{limits}"))
    with running(root) as found:
        yield found


@contextmanager
def connected(server: Running, *sent: bytes) -> Iterator[list[socket.socket]]:
    """A connection for each of what is sent."""
    with ExitStack() as stack:
        opened = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), PATIENCE)) for _ in sent
        ]
        for one, data in zip(opened, sent, strict=True):
            one.sendall(data)
        yield opened


def closed(one: socket.socket) -> bool:
    """Whether the server has hung up."""
    one.setblocking(False)
    try:
        return one.recv(65_536) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def memory(server: Running) -> int:
    return psutil.Process(server.process.pid).memory_info().rss


def test_silent_connections_are_closed_and_hold_nobody_up(narrow: Running) -> None:
    with connected(narrow, b"", b"\r\n", HALF, HALF, WHOLE + HALF, NO_SUCH) as opened:
        assert narrow.client.get("/healthz").status_code == 200
        assert narrow.explore(user="u1")["interests"]
        said = [rest(one) for one in opened]
    assert said[:4] == [b"", b"", b"", b""]
    assert said[4].startswith(b"HTTP/1.1 200")
    assert said[5].startswith(b"HTTP/1.1 404")


def test_beyond_the_limit_requests_are_refused_and_health_is_told(narrow: Running) -> None:
    with connected(narrow, BODILESS, BODILESS) as opened:
        reply = narrow.post("/v1/explore", {})
        while reply.status_code == 200:
            reply = narrow.post("/v1/explore", {})
        assert "under way" in told(reply, 503)
        assert reply.headers["connection"] == "close"
        assert narrow.client.get("/healthz").status_code == 200
        for late in map(rest, opened):
            assert late.startswith(b"HTTP/1.1 408 ")
            assert b"did not arrive within 5 s" in late
    assert narrow.explore(user="u1")["interests"]


def test_a_connection_that_has_said_nothing_may_stay_as_long_as_an_idle_one(copy: Path, place: Path) -> None:
    """Balancers and browsers connect ahead: one of these closed too soon is a request without an answer."""
    with patient(copy, place, seconds=1.0) as server, connected(server, b"", HALF) as (one, late):
        assert rest(late) == b""  # what is given to a request is over
        one.sendall(WHOLE)
        assert one.recv(100).startswith(b"HTTP/1.1 200")


LARGE = {
    "a value": (request("GET", "/healthz", "x: " + "a" * 40_000), 431),
    "a value of 15 MB": (request("GET", "/healthz", "x: " + "a" * 15_000_000), 431),
    "a name": (request("GET", "/healthz", "a" * 2_000_000 + ": x"), 431),
    "many": (request("GET", "/healthz", *(f"x{n}: 1" for n in range(101))), 431),
    "very many": (request("GET", "/healthz", *(f"x{n}: 1" for n in range(300_000))), 431),
    "a URL": (request("GET", "/" + "a" * 9000), 414),
    "a URL of 15 MB": (request("GET", "/" + "a" * 15_000_000), 414),
    "a query": (request("GET", "/healthz?" + "a" * 9000), 414),
    "an extension of a chunk": (CHUNKED + b"2;" + b"x" * 5_000_000 + b"\r\n{}\r\n0\r\n\r\n", 431),
    "an extension of the last": (CHUNKED + b"2\r\n{}\r\n0;" + b"x" * 5_000_000 + b"\r\n\r\n", 431),
    "a trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nx: " + b"x" * 15_000_000 + b"\r\n\r\n", 431),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n" + b"x: 1\r\n" * 200_000 + b"\r\n", 431),
    "a body": (posted("/v1/explore", b" " * 30_000_000), 413),
    "chunks": (CHUNKED + (b"10000\r\n" + b" " * 65_536 + b"\r\n") * 300 + b"0\r\n\r\n", 413),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused_unread(alone: Running, name: str) -> None:
    sent, status = LARGE[name]
    before = memory(alone)
    found, said = exchanged(alone, sent)
    assert found == status
    assert set(json.loads(said.partition(b"\r\n\r\n")[2])) == {"error", "message", "hint", "request_id"}
    assert memory(alone) - before < 8 * MIB
    assert alone.client.get("/healthz").status_code == 200


FITTING = {
    "a head": request("GET", "/healthz", "x: " + "a" * 30_000),
    "99 headers": request("GET", "/healthz", *(f"x{n}: 1" for n in range(99))),
    "a URL": request("GET", "/healthz?" + "a" * 8000),
    "chunks of a byte": CHUNKED + b"1\r\n \r\n" * 20_000 + b"2\r\n{}\r\n0\r\n\r\n",
    "a trailer": CHUNKED + b"2\r\n{}\r\n0\r\nx: 1\r\n\r\n",
    "HTTP/2 is offered": posted("/v1/explore", b"{}", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"),
    "WebSocket is offered": request("GET", "/healthz", "Connection: Upgrade", "Upgrade: websocket"),
}  # fmt: skip


@pytest.mark.parametrize("name", FITTING)
def test_what_fits_is_answered(alone: Running, name: str) -> None:
    assert exchanged(alone, FITTING[name])[0] == 200


MALFORMED = {
    "a length of 5,001 digits": (request("POST", "/v1/explore", f"Content-Length: {'0' * 5000}2", body=b"{}"), 400),
    "a length beyond all numbers": (request("POST", "/v1/explore", f"Content-Length: {'9' * 5001}"), 400),
    "a digit that is none": (request("POST", "/v1/explore", "Content-Length: ²", body=b"{}"), 400),
    "a signed length": (request("POST", "/v1/explore", "Content-Length: +2", body=b"{}"), 400),
    "two lengths": (request("POST", "/v1/explore", "Content-Length: 2", "Content-Length: 3", body=b"{}"), 400),
    "a length and chunks": (request("POST", "/v1/explore", "Content-Length: 2", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "an endless chunk": (CHUNKED + b"f" * 5001 + b"\r\n{}", 400),
    "packed on the way": (request("POST", "/v1/explore", "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "two hosts": (request("GET", "/healthz", "Host: evil.example"), 400),
    "a name as target": (request("GET", "http://localhost@evil.example/v1/releases"), 400),
    "CONNECT": (request("CONNECT", "evil.example:80"), 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "TLS": (bytes.fromhex("16030102000100") + b"x" * 300, 400),
    "a path that is no ASCII": ("GET /é HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 400),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_request_is_said_so(alone: Running, name: str) -> None:
    sent, status = MALFORMED[name]
    found, said = exchanged(alone, sent)
    assert found == status
    assert b'"request_id"' in said
    time.sleep(0.5)  # the log is written five times a second
    assert not [line for line in alone.lines() if "traceback" in line]


def test_requests_in_a_row_are_answered_as_far_as_they_fit(alone: Running) -> None:
    assert exchanged(alone, WHOLE * 50)[1].count(b"HTTP/1.1 200") == 50
    said = exchanged(alone, WHOLE * 5000)[1]
    assert 100 <= said.count(b"HTTP/1.1 200") < 200
    assert said.count(b"connection: close") == 1
    said = exchanged(alone, WHOLE + request("GET", "/", "x: " + "a" * 40_000))[1]
    assert said.startswith(b"HTTP/1.1 200")


def test_who_leaves_before_the_answers_costs_no_line_in_the_log(alone: Running) -> None:
    event = posted("/v1/events", b'[{"user": "u1", "item": "item00001"}]')  # its answer takes a moment
    for more in (event, WHOLE, HALF, b"nothing\r\n") * 20:
        with connected(alone, event * 4 + more) as (one,):
            one.recv(10)
    assert alone.explore(user="u1")["interests"]
    time.sleep(0.5)  # the log is written five times a second
    assert not [line for line in alone.lines() if "traceback" in line]


def test_bytes_in_drops_hold_no_connection(alone: Running) -> None:
    with connected(alone, b"GET /", HALF, CHUNKED, b"\r\n") as opened:
        begin = time.monotonic()
        while not all(closed(one) for one in opened):
            for one, drop in zip(opened, (b"a", b"x: 1\r\n", b"1\r\n \r\n", b"\r\n"), strict=True):
                try:
                    one.send(drop)
                except OSError:
                    continue
            time.sleep(0.1)
            assert time.monotonic() - begin < 120, "one of them stays as long as it drips"


def test_the_one_that_was_idle_longest_makes_way(calm: Running) -> None:
    with connected(calm, *[b""] * 100) as opened:
        assert exchanged(calm, WHOLE)[0] == 200
        first = [closed(one) for one in opened]
        assert sum(first) >= 60
        assert first.index(False) >= 60, "the latest stay"
        assert "freshet_connections_open 40.0" in calm.client.get("/metrics").text


def test_where_none_is_idle_a_new_one_is_refused_and_told_so(calm: Running) -> None:
    with connected(calm, *[HALF] * 40):
        status, said = exchanged(calm, WHOLE)
        assert status == 503
        assert b"Retry-After: 1" in said or b"retry-after: 1" in said
    assert calm.explore(user="u1")["interests"]


def test_a_process_with_few_descriptors_takes_fewer_connections(copy: Path) -> None:
    with running(copy, files=256) as server:
        held = [socket.create_connection(("127.0.0.1", server.port), PATIENCE) for _ in range(400)]
        assert [exchanged(server, WHOLE)[0] for _ in range(20)] == [200] * 20
        assert server.explore(user="u1")["interests"]
        assert not closed(held[-1])
        for one in held:
            one.close()


def test_who_does_not_read_an_answer_is_cut_off(alone: Running) -> None:
    def open_now() -> float:
        lines = alone.client.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith("freshet_connections_open")).split()[1])

    many = request("GET", "/docs/swagger-ui-bundle.js") * 20
    with connected(alone, *[many] * 5):
        held = 0.0
        while held < 2:  # ours is one of them; the first may be cut off before the last is seen
            held = open_now()
        while held > 1:
            time.sleep(0.1)
            held = open_now()
