"""Mutated requests to a real server; `fuzz.py` says what must hold."""

from __future__ import annotations

import contextlib
import re
import socket
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from fuzz_wire import Request, request
from shared import Served, freshet, serving, simulated

TIMEOUT = 300.0
"""Seconds without a byte after which a server hangs: a form starts a command, which a busy machine delays."""
GROWTH_MB = 150
DASHBOARD = "freshet.dashboard.dashboard_process"
EXAMPLES = 3
HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n(?:[!-9;-~]+:[^\r\n]*\r\n)*\r\n")


def fuzz(seed: int, first: int, count: int, kept: Path) -> dict[str, dict[str, Any]]:
    """Send requests to the API, three of ten to the dashboard; figures by which of the two."""
    with tempfile.TemporaryDirectory() as made:
        root = Path(made) / "shop"
        simulated(root, planner="counts")
        with (root / "freshet.toml").open("a") as settings:
            settings.write(
                "[http]\nseconds = 1.0\nidle_seconds = 5\nlog_requests = false\n"
            )  # who sends a half is soon left
        freshet("run", "-w", root)
        freshet("refresh", "-w", root, "--as-of", "2024-02-15", "--publish")  # one to roll back to
        visits = 3 * count // 10
        with serving(root) as served:
            found = each(served, lambda n: request(seed, n), first, count - visits, kept, "request")
        import fuzz_pages  # late: it needs what is here

        return {"requests": found, "pages": fuzz_pages.fuzz(seed, first, visits, kept, root)}


def each(
    served: Served, make: Callable[[int], Request], first: int, count: int, kept: Path, name: str
) -> dict[str, Any]:
    """Send every case on a connection of its own, then ask how the server is."""
    statuses, failures = Counter[str](), Counter[str]()
    examples: list[dict[str, Any]] = []
    for n in range(first, first + 50):
        sent(served.port, make(n))  # what every server allocates once
    before, read = memory(served, name), 0
    for n in range(first, first + count):
        one = make(n)
        status, why = sent(served.port, one)
        statuses[status] += 1
        logged, read = since(served.log, read)
        if "Traceback" in logged:  # of this request, or of the one before
            why = why or "traceback in the log"
        if why:
            failures[why] += 1
            if failures[why] <= EXAMPLES:
                (kept / f"{n}-{name}").write_bytes(one.raw)
                told = {"case": n, "why": why, "status": status, "begins": f"{one.raw[:300]!r}"}
                examples.append(told | {"log": logged[-1500:]})
        if served.process.poll() is not None:
            failures["the server ended"] += 1
            break
    found = standing(served, before, name)
    failures["not healthy at the end"] += not found["healthy"]
    failures["memory grows"] += found["mb_grown"] > GROWTH_MB
    return {
        "n": count,
        "statuses": dict(sorted(statuses.items())),
        "failures": dict(+failures),
        "examples": examples,
        **found,
    }


def together(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """Figures of two servers as one."""
    counted = {
        name: dict(sorted((Counter(a[name]) + Counter(b[name])).items())) for name in ("statuses", "failures")
    }
    return {
        "n": a["n"] + b["n"],
        **counted,
        "examples": a["examples"] + b["examples"],
        "healthy": a["healthy"] and b["healthy"],
        "mb_grown": max(a["mb_grown"], b["mb_grown"]),
    }


def memory(served: Served, name: str) -> int:
    """Bytes of a server; where its pages are visited, also of the dashboard beside it.

    Not of what comes and goes: looks at the service levels, and commands that forms start.
    """
    process = psutil.Process(served.process.pid)
    lasting = [process]
    for child in process.children() if name == "visit" else []:
        with contextlib.suppress(psutil.Error):  # a look that has just ended
            lasting += [child] if DASHBOARD in child.cmdline() else []
    return sum(one.memory_info().rss for one in lasting)


def since(log: Path, read: int) -> tuple[str, int]:
    """What a log holds after so many bytes, and how many it has."""
    with log.open("rb") as file:
        file.seek(read)
        new = file.read()
    return new.decode("latin-1"), read + len(new)


def standing(served: Served, before: int, name: str) -> dict[str, Any]:
    """How the server is after all that."""
    if served.process.poll() is not None:
        return {"healthy": False, "mb_grown": 0.0}
    grown = (memory(served, name) - before) / 1e6
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
