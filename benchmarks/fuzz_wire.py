"""Requests that could be right, and what is done to them: case n of a seed is always the same."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

PATHS = [
    "/v1/explore",
    "/v1/explore:batch",
    "/v1/events",
    "/v1/releases",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/",
    "*",
    "//",
    "/v1",
    "/v1/explore/",
    "/V1/explore",
    "/v1/explore?user=u1",
    "/v1/%65xplore",
    "/v1/../healthz",
    "/%00",
    "/%ff",
    "/v1/explore;x",
    "http://localhost/healthz",
    "/v1/releases/1:activate",
    "/v1/releases/99999999999999999999:activate",
]
PATHS.append("/" + "a" * 5000)
MAIN = ("/v1/explore", "/v1/explore", "/v1/explore:batch", "/v1/events")
METHODS = ["GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"]
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
HEADERS = """Origin: http://evil.example|Origin: null|Host: two|Content-Type: text/plain
Content-Encoding: gzip|Expect: 100-continue|Connection: close|Connection: upgrade|Upgrade: websocket
Authorization: Bearer x|Authorization: Bearer|Authorization: \xff|Accept-Encoding: *|Range: bytes=0-1
If-None-Match: *|Cookie: a=b|Transfer-Encoding: gzip|X-Forwarded-Prefix: //x""".replace("\n", "|").split("|")
HEADERS.append("X: " + "a" * 9000)


@dataclass(frozen=True)
class Request:
    """What is sent; `whole` = framed well, so that an answer is due (a HEAD's has no body)."""

    raw: bytes
    whole: bool
    head: bool


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
                at[key] = deepcopy(rng.choice(ODD))
                if isinstance(at, dict) and rng.random() < 0.2:
                    at[
                        rng.choice(
                            ["", "time", "id", "impression", "release", "exclude", "\0", "now", "context"]
                        )
                    ] = deepcopy(rng.choice(ODD))
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
