"""Attacks on `freshet serve`; `hostile.py` says what each must find."""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from hostile_tools import TIMEOUT, alive, answer, ask, copied, get, in_parallel, post, watched, well
from shared import command, serving

if TYPE_CHECKING:
    from hostile import Sizes

FEW = 5
"""Snapshots that one `collect` may make of a journal of seconds."""


def headers(shop: Path, sizes: Sizes) -> dict[str, Any]:
    """Large headers on four connections: many small ones on two, one value on the others."""
    statuses: list[int] = []
    line = b"X-Padding: " + b"a" * 8000 + b"\r\n"

    def flood(number: int) -> None:
        with socket.create_connection(("127.0.0.1", served.port), TIMEOUT) as connection:
            part = line if number % 2 else b"a" * len(line)
            with contextlib.suppress(OSError):
                connection.sendall(b"GET /v1/releases HTTP/1.1\r\nHost: localhost\r\nX-Long: a")
                for _ in range(sizes.header_mb * 1_000_000 // len(part)):
                    connection.sendall(part)
                connection.sendall(b"\r\n\r\n")
            with contextlib.suppress(OSError):
                statuses.append(answer(connection)[0])

    with serving(copied(shop, "headers")) as served:
        with watched(served) as seen:
            in_parallel(4, flood)
        long_path = ask(served.port, get("/" + "a" * 1_000_000))[0]
        ok = well(served, seen) and {*statuses} <= {0, 400, 431} and long_path in (0, 400, 414, 431)
        # who still sends when it is refused may see a reset instead of the answer, so several sizes are tried
        sizes_kb = (20, 40, 80, 160, 320)
        told = [ask(served.port, get("/healthz", "X-Long: " + "a" * 1000 * kb))[0] for kb in sizes_kb]
    polite = dict(zip(map(str, sizes_kb), told, strict=True))
    return {"ok": ok and 431 in told, "statuses": statuses, "by_kb": polite, "path": long_path, **seen}


def idle(shop: Path, sizes: Sizes) -> dict[str, Any]:
    """Connections that asked once and stay, more than the server may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, sizes.idle + 500)), hard))
    limit = sizes.descriptors

    def confined() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    kept: list[socket.socket] = []
    answered = refused = 0
    with serving(copied(shop, "idle"), start=confined if limit else None) as served:
        process = psutil.Process(served.process.pid)
        for _ in range(sizes.idle):
            try:
                connection = socket.create_connection(("127.0.0.1", served.port), TIMEOUT)
                connection.sendall(get("/healthz"))
                status = answer(connection)[0]
            except OSError:
                status = 0
            answered, refused = answered + (status == 200), refused + (status != 200)
            kept.append(connection)
        held = process.num_fds()
        status = _eventually(served.port)
        for connection in kept:
            connection.close()
        return {
            "ok": status in (200, 503) and alive(served),
            "opened": sizes.idle,
            "answered": answered,
            "refused": refused,
            "descriptors": held,
            "new_one": status,
        }


def _eventually(port: int) -> int:
    """Status of a new connection, which may have to wait for one to be closed."""
    status = 0
    for _ in range(5):
        with contextlib.suppress(OSError):
            status = ask(port, get("/healthz"))[0]
        if status:
            break
        time.sleep(0.5)
    return status


def collect(shop: Path, sizes: Sizes) -> dict[str, Any]:
    """The command ends though events keep coming, and doesn't make a snapshot for each of them."""
    root, over, sent = copied(shop, "collect"), threading.Event(), [0] * 4
    before = _snapshots(root)

    def post_on(number: int) -> None:
        while not over.wait(0.05):
            user, item = f"live{number}-{sent[number] % 50}", f"item{sent[number] % 90:05d}"
            ask(served.port, post("/v1/events", [{"user": user, "item": item}]))
            sent[number] += 1

    with serving(root) as served:
        posting = threading.Thread(target=in_parallel, args=(len(sent), post_on))
        posting.start()
        while sum(sent) < 20:
            time.sleep(0.05)
        began, code = time.monotonic(), None
        call = command("collect", "-w", root)
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = subprocess.run(call, capture_output=True, check=False, timeout=sizes.patience).returncode
        seconds = time.monotonic() - began
        over.set()
        posting.join()
    made = _snapshots(root) - before
    return {
        "ok": code == 0 and made <= FEW,
        "exit": code,
        "seconds": round(seconds, 1),
        "events": sum(sent),
        "snapshots": made,
    }


def _snapshots(root: Path) -> int:
    from freshet.stages.events.snapshots import latest

    return latest(root)[0]


def host(shop: Path, _: Sizes) -> dict[str, Any]:
    """What a page of another site can reach through a name that it lets point here."""
    event = [{"user": "rebound", "item": "item00001"}]
    asked = {
        "releases": get("/v1/releases", host="evil.example"),
        "metrics": get("/metrics", host="evil.example"),
        "with a port": get("/v1/releases", host="evil.example:8000"),
        "that begins like ours": get("/v1/releases", host="localhost.evil.example"),
        "user part": get("/v1/releases", host="localhost@evil.example"),
        "absolute": get("http://evil.example/v1/releases", host="evil.example"),
        "two": get("/v1/releases", "Host: evil.example"),
        "events": post("/v1/events", event, host="evil.example"),
        "explore": post("/v1/explore", {"user": "u"}, host="evil.example"),
    }
    foreign = {
        "origin": post("/v1/events", event, "Origin: http://evil.example"),
        "null": post("/v1/events", event, "Origin: null"),
        "begins like ours": post("/v1/events", event, "Origin: http://localhost.evil.example"),
    }
    own = {
        "localhost": get("/v1/releases"),
        "address": get("/v1/releases", host="127.0.0.1"),
    }
    with serving(copied(shop, "host")) as served:
        others = {name: ask(served.port, one)[0] for name, one in (asked | foreign).items()}
        own["upper case and port"] = get("/v1/releases", host=f"LOCALHOST:{served.port}")
        ours = {name: ask(served.port, one)[0] for name, one in own.items()}
    with serving(copied(shop, "open"), "--no-auth") as served:
        others |= {f"--no-auth, {name}": ask(served.port, one)[0] for name, one in foreign.items()}
    ok = all(400 <= status < 500 for status in others.values())
    return {"ok": ok and {*ours.values()} == {200}, "others": others, "ours": ours}


def numbers(shop: Path, _: Sizes) -> dict[str, Any]:
    """Numbers that no program should try to read as such."""
    digits = "9" * 5001
    line = (
        "POST /v1/explore HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    )
    lengths = {
        "digits": digits,
        "zeros": "0" * 4999 + "02",
        "superscript": "\xb2",
        "minus": "-1",
        "sign": "+5",
        "hex": "0x5",
        "none": "",
    }
    asked = {
        f"length, {name}": f"{line}{told}\r\n\r\n{{}}".encode("latin-1") for name, told in lengths.items()
    }
    bodies = {
        "integer": f'{{"user":"u","interests":{digits}}}',
        "exponent": '{"user":"u","interests":1e999}',
        "not a number": '{"user":"u","interests":NaN}',
        "nested": "[" * 100_000,
        "nested, closed": '{"user":' + "[" * 20_000 + "]" * 20_000 + "}",
        "surrogate": '{"user":"\\ud800","interests":-1}',
    }
    asked |= {name: post("/v1/explore", body.encode()) for name, body in bodies.items()}
    event = '[{{"user":"u","item":"i","time":{}}}]'
    times = {"time, digits": digits, "time, exponent": "1e308", "time, text": f'"{digits}-01-01"'}
    asked |= {name: post("/v1/events", event.format(time).encode()) for name, time in times.items()}
    with serving(copied(shop, "numbers")) as served:
        statuses = {name: ask(served.port, one)[0] for name, one in asked.items()}
        ok = all(400 <= status < 500 for status in statuses.values()) and alive(served)
    return {"ok": ok, "statuses": statuses}


def old(shop: Path, _: Sizes) -> dict[str, Any]:
    """1,500 events on 1,500 old days in two requests."""
    root, today = copied(shop, "old"), datetime.now(UTC)
    events = [
        {"user": f"old{n}", "item": "item00001", "time": (today - timedelta(days=1000 + n)).isoformat()}
        for n in range(1500)
    ]
    before = len(list((root / "events").rglob("*.parquet")))
    with serving(root) as served:
        statuses = [ask(served.port, post("/v1/events", events[at : at + 750]))[0] for at in (0, 750)]
        fresh = ask(served.port, post("/v1/events", [{"user": "new", "item": "item00001"}]))[0]
    done = subprocess.run(command("collect", "-w", root), capture_output=True, check=False, timeout=600)
    files = len(list((root / "events").rglob("*.parquet"))) - before
    ok = statuses == [422, 422] and fresh == 200 and done.returncode == 0 and files <= 10
    return {"ok": ok, "statuses": statuses, "of_now": fresh, "collect": done.returncode, "new_files": files}
