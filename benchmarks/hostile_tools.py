"""Raw requests, and how a server takes them; what `hostile.py` attacks with."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from shared import Served

GROWTH_MB = 100
"""By as much a server may grow while it is attacked; it has about 300 MB to begin with."""
SLOW = 5.0
"""Seconds: a server that takes longer to say that it is well is not."""
TIMEOUT = 30.0


def copied(shop: Path, name: str) -> Path:
    """A copy that an attack may spoil."""
    return Path(shutil.copytree(shop, shop.parent / name))


def ask(port: int, request: bytes, timeout: float = TIMEOUT) -> tuple[int, bytes]:
    """Status and everything that came back; status 0 = closed without an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.settimeout(timeout)
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        return answer(connection)


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read one answer, by its Content-Length."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            found += part
            head, end, body = found.partition(b"\r\n\r\n")
            length = next(
                (
                    int(line[15:])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                ),
                None,
            )
            if end and length is not None and len(body) >= length:
                break
    return int(found[9:12]) if found.startswith(b"HTTP/1.1 ") else 0, found


def get(path: str, *headers: str, host: str = "localhost") -> bytes:
    """A GET; without a Host where `host` is empty."""
    lines = [f"GET {path} HTTP/1.1", *([f"Host: {host}"] if host else []), *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def post(path: str, body: Any, *headers: str, host: str = "localhost") -> bytes:
    """A POST of JSON; bytes go as they are."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(raw)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + raw


@contextmanager
def watched(served: Served) -> Iterator[dict[str, float]]:
    """Memory and /healthz while the block runs; the figures are there when it ends."""
    process, seen = psutil.Process(served.process.pid), {"mb_before": 0.0, "mb_most": 0.0, "healthz_s": 0.0}
    seen["mb_before"] = process.memory_info().rss / 1e6
    over = threading.Event()

    def measure() -> None:
        while not over.wait(0.05):
            seen["mb_most"] = max(seen["mb_most"], process.memory_info().rss / 1e6)

    def health() -> None:
        while not over.is_set():
            began = time.monotonic()
            with contextlib.suppress(OSError):
                ask(served.port, get("/healthz"))
            seen["healthz_s"] = max(seen["healthz_s"], time.monotonic() - began)
            over.wait(0.1)

    threads = [threading.Thread(target=work) for work in (measure, health)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()
        seen["mb_most"] = max(seen["mb_most"], seen["mb_before"])
        seen |= {name: round(value, 2) for name, value in seen.items()}


def well(served: Served, seen: dict[str, float]) -> bool:
    """Bounded, alive, and nothing in the log that a person would call a crash."""
    grown = seen["mb_most"] - seen["mb_before"]
    return grown < GROWTH_MB and seen["healthz_s"] < SLOW and alive(served)


def alive(served: Served) -> bool:
    """It answers, and no traceback was logged."""
    return ask(served.port, get("/healthz"))[0] == 200 and "Traceback" not in served.log.read_text()


def in_parallel(count: int, work: Callable[[int], None]) -> None:
    """As many threads, to their end."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
