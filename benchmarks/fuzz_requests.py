"""Mutated requests to a real server; `fuzz.py` says what must hold."""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from shared import Served, freshet, serving, simulated

TIMEOUT = 60.0
"""Seconds without a byte after which a server hangs; a busy machine needs a few."""
GROWTH_MB = 150
HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n(?:[!-9;-~]+:[^\r\n]*\r\n)*\r\n")
PATHS = (
    *(
        "/v1/explore",
        "/v1/explore",
        "/v1/explore:batch",
        "/v1/events",
        "/v1/events",
        "/v1/releases",
        "/healthz",
    ),
    *("/readyz", "/metrics", "/openapi.json", "/docs", "/", "*", "//", "/v1", "/v1/explore/", "/V1/explore"),
    *(
        "/v1/explore?user=u1",
        "/v1/%65xplore",
        "/v1/../healthz",
        "/%00",
        "/%ff",
        "/v1/explore;x",
        "/" + "a" * 5000,
    ),
    *("http://localhost/healthz", "/v1/releases/1:activate", "/v1/releases/99999999999999999999:activate"),
)
MAIN = ("/v1/explore", "/v1/explore", "/v1/explore:batch", "/v1/events")
METHODS = ("GET", "POST", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE")
ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        1.5,
        3.0,
        2**31,
        2**63,
        10**400,
        -(2**70),
        "",
        " ",
        "\0",
        "\ud800",
        "é" * 300,
        "\u202e",
    ),
    *("x" * 10_000, [], {}, [[]], [None], {"a": 1}, "2024-01-01", "0000-00-00", "1e5", 4_102_444_800, -1e308),
)
RAW = (
    "NaN",
    "1e999",
    "-Infinity",
    "9" * 5001,
    "[" * 30_000,
    '{"user":' * 2000,
    "",
    "nul",
    '"',
    "\ufeff{}",
    "01",
)
HEADERS = (
    *(
        "Origin: http://evil.example",
        "Origin: null",
        "Host: two",
        "Content-Type: text/plain",
        "Content-Encoding: gzip",
    ),
    *(
        "Expect: 100-continue",
        "Connection: close",
        "Connection: upgrade",
        "Upgrade: websocket",
        "X-Request-Id: a b",
    ),
    *(
        "Authorization: Bearer x",
        "Authorization: Bearer",
        "Authorization: \xff",
        "Accept-Encoding: *",
        "X: " + "a" * 9000,
    ),
    *(
        "Range: bytes=0-1",
        "If-None-Match: *",
        "Cookie: a=b",
        "Transfer-Encoding: gzip",
        "X-Forwarded-Prefix: //x",
    ),
)


@dataclass(frozen=True)
class Request:
    """What is sent; `whole` = framed well, so that an answer is due (a HEAD's has no body)."""

    raw: bytes
    whole: bool
    head: bool


def fuzz(seed: int, first: int, count: int, kept: Path) -> dict[str, Any]:
    """Send every case on a connection of its own, then ask how the server is."""
    statuses, failures = Counter[str](), Counter[str]()
    examples: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as made:
        root = Path(made) / "shop"
        simulated(root, planner="counts")
        with (root / "freshet.toml").open("a") as settings:
            settings.write("[http]\nseconds = 1.0\nlog_requests = false\n")  # who sends a half is soon left
        freshet("run", "-w", root)
        with serving(root) as served:
            for n in range(first, first + 50):
                sent(served.port, request(seed, n))  # what every server allocates once
            process = psutil.Process(served.process.pid)
            before, read = process.memory_info().rss, 0
            for n in range(first, first + count):
                one = request(seed, n)
                status, why = sent(served.port, one)
                statuses[status] += 1
                logged, read = since(served.log, read)
                if "Traceback" in logged:  # of this request, or of the one before
                    why = why or "traceback in the log"
                if why:
                    failures[why] += 1
                    if failures[why] <= 3:
                        (kept / f"{n}-request").write_bytes(one.raw)
                        told = {"case": n, "why": why, "status": status, "begins": f"{one.raw[:300]!r}"}
                        examples.append(told | {"log": logged[-500:]})
                if served.process.poll() is not None:
                    failures["the server ended"] += 1
                    break
            found = standing(served, before)
    failures["not healthy at the end"] += not found["healthy"]
    failures["memory grows"] += found["mb_grown"] > GROWTH_MB
    return {
        "n": count,
        "statuses": dict(sorted(statuses.items())),
        "failures": dict(+failures),
        "examples": examples,
        **found,
    }


def since(log: Path, read: int) -> tuple[str, int]:
    """What a log holds after so many bytes, and how many it has."""
    with log.open("rb") as file:
        file.seek(read)
        new = file.read()
    return new.decode("latin-1"), read + len(new)


def standing(served: Served, before: int) -> dict[str, Any]:
    """How the server is after all that."""
    if served.process.poll() is not None:
        return {"healthy": False, "mb_grown": 0.0}
    grown = (psutil.Process(served.process.pid).memory_info().rss - before) / 1e6
    status, _ = sent(served.port, Request(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", True, False))
    return {"healthy": status == "200", "mb_grown": round(grown, 1)}


def sent(port: int, one: Request) -> tuple[str, str]:
    """Status of the last answer ('closed' = none came), and what is wrong about it, '' where nothing is."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(one.raw)
        found = b""
        try:
            while not answered(found, one):
                part = connection.recv(1 << 16)
                if not part:
                    break
                found += part
        except ConnectionError:  # it hung up before it had read everything
            pass
        except TimeoutError:
            return "none", "hangs"
    if not found:
        return "closed", "no answer to a whole request" if one.whole else ""
    head = last_head(found)
    if head is None:
        return "bad", "not HTTP"
    statuses = [one[1].decode() for one in HEAD.finditer(found)]
    wrong = [status for status in statuses if status.startswith("5") and status not in ("501", "503")]
    return head[1].decode(), f"status {wrong[0]}" if wrong else ""


def last_head(found: bytes) -> re.Match[bytes] | None:
    """The head of the last answer that isn't 100 Continue."""
    heads = [head for head in HEAD.finditer(found) if head[1] != b"100"]
    return heads[-1] if heads and HEAD.match(found) else None


def answered(found: bytes, one: Request) -> bool:
    """Whether an answer is there; what is sent behind it may get more, which is not waited for."""
    head = last_head(found)
    if head is None:
        return False
    body = found[head.end() :]
    if one.head or head[1] in (b"204", b"304"):
        return True
    length = re.search(rb"\r\ncontent-length: *(\d+)", head[0], re.I)
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


def request(seed: int, number: int) -> Request:
    """The case of this number."""
    rng = random.Random(f"{seed}/{number}/request")
    method, path = "POST", rng.choice(MAIN)
    if rng.random() < 0.35:
        method, path = rng.choice(METHODS), rng.choice(PATHS)
    body = _body(rng, path) if rng.random() < 0.9 else b""
    chosen = [rng.choice(HEADERS) for _ in range(rng.choice([0, 0, 0, 1, 1, 2]))]
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    chunked = rng.random() < 0.1
    if chunked:
        payload, framing = _chunks(rng, body), "Transfer-Encoding: chunked"
    else:
        payload, framing = body, f"Content-Length: {len(body)}"
    head = "\r\n".join([*lines, framing, *chosen, "", ""]).encode("latin-1")
    whole = not any(
        part.startswith(("Host", "Transfer", "Upgrade", "Connection", "Expect")) for part in chosen
    )
    raw = head + payload
    if rng.random() < 0.35:
        return Request(rng.choice(BREAKS)(rng, raw), False, method == "HEAD")
    return Request(raw, whole, method == "HEAD")


def _body(rng: random.Random, path: str) -> bytes:
    """JSON that could be right, with odd parts."""
    if "events" in path:
        made: Any = [
            {"user": f"u{rng.randrange(9)}", "item": f"item{n:05d}", "value": 9}
            for n in range(rng.randrange(4))
        ]
    else:
        made = {
            "user": f"u{rng.randrange(9)}",
            "interests": 3,
            "items": 2,
            "history": ["item00001"],
            "explain": True,
        }
        if "batch" in path:
            made = {"requests": [made, {"user": "u1"}]}
    for _ in range(rng.choice([0, 1, 1, 2])):
        at = made
        while isinstance(at, list | dict) and at:
            key = rng.choice([*at]) if isinstance(at, dict) else rng.randrange(len(at))
            if not (isinstance(at[key], list | dict) and at[key]) or rng.random() < 0.4:
                at[key] = rng.choice(ODD)
                if isinstance(at, dict) and rng.random() < 0.2:
                    at[
                        rng.choice(
                            ["", "time", "id", "impression", "release", "exclude", "\0", "now", "context"]
                        )
                    ] = rng.choice(ODD)
                break
            at = at[key]
    text = json.dumps(made, ensure_ascii=rng.random() < 0.8)
    if rng.random() < 0.15:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(RAW) + text[at + rng.choice([0, 1, 5]) :]
    raw = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.1 and raw:
        at = rng.randrange(len(raw))
        raw = raw[:at] + rng.randbytes(3) + raw[at:]
    return raw if rng.random() > 0.05 else text.encode(rng.choice(["utf-16", "utf-32", "latin-1"]), "replace")


def _chunks(rng: random.Random, body: bytes) -> bytes:
    """The body in chunks, with extensions and trailers."""
    made, at = b"", 0
    while at < len(body):
        size = rng.randrange(1, 200)
        part = body[at : at + size]
        made += (
            f"{len(part):x}".encode()
            + rng.choice([b"", b";a=b", b";" + b"x" * 200])
            + b"\r\n"
            + part
            + b"\r\n"
        )
        at += size
    return made + b"0\r\n" + rng.choice([b"", b"X-Trailer: 1\r\n"]) + b"\r\n"


def _byte(rng: random.Random, raw: bytes) -> bytes:
    """One byte of the first 300 is another."""
    at = rng.randrange(min(300, len(raw)))
    return raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1 :]


def _length(rng: random.Random, raw: bytes) -> bytes:
    odd = rng.choice(
        [b"-1", b"+1", b"0x10", b"1e3", b"9" * 5001, b"0" * 4990 + b"2", b"", b"1, 1", b"\xb2", b"99999999"]
    )
    return re.sub(rb"Content-Length: \d+", b"Content-Length: " + odd, raw, count=1)


BREAKS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _byte,
    _length,
    lambda rng, raw: raw[: rng.randrange(len(raw))],
    lambda rng, _: rng.randbytes(rng.randrange(1, 400)),
    lambda _, raw: raw.replace(b"\r\n", b"\n"),
    lambda rng, raw: raw.replace(
        b"HTTP/1.1", rng.choice([b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"HTP/1.1", b""])
    ),
    lambda rng, raw: raw.replace(b"\r\n", b"\r\nX-%d: y" % rng.randrange(9) * 300 + b"\r\n", 1),
    lambda rng, raw: raw.replace(
        b"Host: localhost", rng.choice([b"Host:", b"Host: [", b"Host: a b", b"Host : x", b"X: y"])
    ),
    lambda rng, raw: raw.replace(b": ", rng.choice([b":", b" : ", b":\0", b":\x0b"]), 1),
    lambda rng, raw: raw + raw + raw[: rng.randrange(len(raw))],
    lambda rng, raw: b"\r\n" * rng.randrange(1, 5) + raw,
)
"""What makes a request one that may be hung up on."""
