"""Mutated requests for the dashboard, of a server that knows visitors by keys and one that does not."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import fuzz_requests
from fuzz_visits import PAGES, Door, visit
from fuzz_wire import Request
from shared import Served, command, serving

TOKEN = re.compile(rb'name="token" value="([0-9a-f]{64})"')
COOKIE = re.compile(rb"set-cookie: freshet=([^;\r\n]+)", re.I)


def fuzz(seed: int, first: int, count: int, kept: Path, root: Path) -> dict[str, Any]:
    """Visit case after case, two thirds of them where everybody on this machine is let in.

    Args:
        root: a workspace with releases; it gets a key.
    """
    open_to_all = count - count // 3
    with serving(root) as served:
        door = door_of(served)
        found = fuzz_requests.each(served, lambda n: visit(seed, n, door), first, open_to_all, kept, "visit")
    key = _key(root)
    with serving(root) as served:
        door = door_of(served, key)
        rest = fuzz_requests.each(
            served, lambda n: visit(seed, n, door), first + open_to_all, count - open_to_all, kept, "visit"
        )
    return fuzz_requests.together(found, rest)


def _key(root: Path) -> str:
    """A new key that may do everything."""
    call = command("keys", "add", "-w", root, "--scope", "admin", "--name", "visitor", "--json")
    said = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    return str(json.loads(said)["added"]["key"])


def door_of(served: Served, key: str = "") -> Door:
    """Go in as a browser does."""
    head = "Host: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\n"
    cookie = ""
    until = time.monotonic() + 300
    while b" 503 " in (first := _said(served, f"GET /dashboard/login HTTP/1.1\r\n{head}\r\n")[:20]):
        if time.monotonic() > until:
            raise RuntimeError(f"the dashboard does not start: {first!r}")
        time.sleep(0.2)  # it says itself that it is starting
    if key:
        body = f"key={key}&next="
        form = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        cookie = _found(COOKIE, _said(served, f"POST /dashboard/login HTTP/1.1\r\n{head}{form}"))
        head += f"Cookie: freshet={cookie}\r\n"
    answer = _said(served, f"GET /dashboard/releases/1 HTTP/1.1\r\n{head}\r\n")
    cookie = cookie or _found(COOKIE, answer)
    for path in PAGES:  # what every dashboard loads once
        _said(
            served, f"GET /dashboard/{path.format(1, 1)} HTTP/1.1\r\n{head}Cookie: freshet={cookie}\r\n\r\n"
        )
    page = _said(served, f"GET /dashboard/releases/1 HTTP/1.1\r\n{head}Cookie: freshet={cookie}\r\n\r\n")
    return Door(cookie, _found(TOKEN, page), key)


def _said(served: Served, request: str) -> bytes:
    one, found = Request(request.encode(), True, False), b""
    with socket.create_connection(("127.0.0.1", served.port), fuzz_requests.TIMEOUT) as connection:
        connection.sendall(one.raw)
        while not fuzz_requests.answered(found, one) and (part := connection.recv(1 << 16)):
            found += part
    return found


def _found(what: re.Pattern[bytes], answer: bytes) -> str:
    hit = what.search(answer)
    if hit is None:
        raise RuntimeError(f"the dashboard gives no {what.pattern!r}: {answer[:600]!r}")
    return hit[1].decode()
