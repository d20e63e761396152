"""The dashboard: milliseconds and bytes of its pages, and what looking at them costs requests of the API.

    python benchmarks/dashboard.py --work wide          # 1,000 interests; made where it is not there yet
    python benchmarks/dashboard.py --quick

Everything is SIMULATED. `pages`: as `benchmarks/exploring.py`, for overview, runs, releases, reviews and the
playground, with a ledger of `--runs` runs, once the pages were made as the dashboard's process makes them
after its start and after each publication (`warming_ms`): the first time is that of whoever comes then. The
aims: below 200 ms and 300 kB with 1,000 interests. `api`: a real `freshet serve` is asked for
recommendations, one after another, for `--seconds` without, then with somebody who loads pages as fast as
they come, turn by turn; milliseconds at the client, and the ratio of the 99th percentiles with its range over
the turns.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import exploring
from shared import Show, folder, parse, parser, tell

PAGES = {
    "overview": "",
    "overview, freshness measured": "overview/fresh",
    "overview, what changed": "overview/changed",
    "runs": "runs",
    "one run": "runs/00001",
    "releases": "releases",
    "one release": "releases/1",
    "two releases compared": "releases/compare?a=1&b=2",
    "reviews": "reviews",
    "playground": "playground",
}
TURNS = 4
LOOKING = """
import sys, urllib.request
while True:
    for path in sys.argv[2:]:
        urllib.request.urlopen(sys.argv[1] + "/dashboard/" + path).read()
"""


def main() -> None:
    """Measure, and say what is missed."""
    made = parser(__doc__)
    made.add_argument("--work", type=Path, help="the workspace, made where there is none")
    made.add_argument("--interests", type=int, default=1000)
    made.add_argument("--items", type=int, default=20_000)
    made.add_argument("--users", type=int, default=6_000)
    made.add_argument("--runs", type=int, default=1000, help="of the ledger")
    made.add_argument("--repeats", type=int, default=15)
    made.add_argument("--seconds", type=float, default=8.0, help="of a turn of requests")
    options = parse(made, interests=8, items=96, users=150, runs=30, repeats=2, seconds=1.0)
    with folder(options.work) as root:
        if not (root / "freshet.toml").exists():
            exploring.build(root, options.interests, options.items, options.users)
        if not (root / "CURRENT").exists():
            exploring.publish(root)
        furnish(root, options.runs)
        exploring.PAGES = PAGES
        load = os.getloadavg()[0]
        found = {
            "note": "SIMULATED; milliseconds of wall clock and of processor",
            "load": round(load, 1),
            "runs": options.runs,
            **asyncio.run(exploring.pages(root, options.repeats, warmed=True)),
            "api": requests(root, options.seconds),
        }
    tell(options, found)


def furnish(root: Path, runs: int) -> None:
    """A second release, and a long ledger: records of the last run under later numbers."""
    from freshet.wiring import open_workspace

    ws = open_workspace(root)
    current = ws.releases.current()
    if current is not None and current.number == 1:
        parts = current.as_dict()  # the same table: what is measured is the comparison, not the change
        del parts["number"], parts["previous"]
        ws.releases.publish(**parts | {"run": "00009"})
    record = ws.ledger.records()[-1]
    for number in range(int(record.id) + 1, runs + 1):
        ws.ledger.save(replace(record, id=f"{number:05d}"))


def requests(root: Path, seconds: float) -> dict[str, Any]:
    """Milliseconds of recommendations while nobody looks, and while somebody does."""
    command = [sys.executable, "-m", "freshet", "serve", "-w", str(root), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            if server.stdout is None:
                raise AssertionError("it has a pipe")
            url = json.loads(server.stdout.readline())["url"]
            port = int(url.rpartition(":")[2])
            awake(port)
            Show().say("asking for recommendations, alone and beside pages")
            turns = [(asked(port, seconds), beside(url, port, seconds)) for _ in range(TURNS)]
        finally:
            server.terminate()
    ratios = [percentile(with_pages, 99) / percentile(alone, 99) for alone, with_pages in turns]
    alone = [value for turn, _ in turns for value in turn]
    with_pages = [value for _, turn in turns for value in turn]
    return {
        "alone_ms": {"p50": percentile(alone, 50), "p99": percentile(alone, 99), "n": len(alone)},
        "beside_pages_ms": {
            "p50": percentile(with_pages, 50),
            "p99": percentile(with_pages, 99),
            "n": len(with_pages),
        },
        "p99_ratio": round(statistics.median(ratios), 2),
        "p99_ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
    }


def awake(port: int) -> None:
    """Wait until the dashboard has started, and its pages were made once."""
    for path in PAGES.values():
        status = 503
        while status == 503:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            connection.request("GET", f"/dashboard/{path}")
            reply = connection.getresponse()
            reply.read()
            status = reply.status
            connection.close()
            time.sleep(0.2 if status == 503 else 0)


def beside(url: str, port: int, seconds: float) -> list[float]:
    """The same as `asked` while somebody loads pages."""
    with subprocess.Popen([sys.executable, "-c", LOOKING, url, *PAGES.values()]) as looking:
        try:
            time.sleep(0.5)
            return asked(port, seconds)
        finally:
            looking.kill()


def asked(port: int, seconds: float) -> list[float]:
    """Milliseconds of each recommendation, one after another."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    found, end, number = [], time.perf_counter() + seconds, 0
    while (begin := time.perf_counter()) < end:
        body = json.dumps({"user": f"u{number % 97}", "interests": 3, "items": 5, "log": False})
        connection.request("POST", "/v1/explore", body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        reply.read()
        if reply.status != 200:
            raise AssertionError(f"status {reply.status}")
        found.append((time.perf_counter() - begin) * 1e3)
        number += 1
    return found


def percentile(values: list[float], share: int) -> float:
    """The share-th percentile, by rank."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, len(ordered) * share // 100)], 2)


if __name__ == "__main__":
    main()
