"""Several workers at one port, first answers, and whether any of a million requests goes without one.

    python benchmarks/workers.py --json
    python benchmarks/workers.py --workspace shop --json       # a workspace of one's own, which is left alone

`freshet serve` around a copy of a workspace; by default a SIMULATED one (counts,
content, the sequence model, ranked items). Users of its log are asked for, 3 interests with 10 items each.

rps                  answers per second at most with 1 worker and with `--workers`, 32 connections that stay
                     open, both servers running, asked in turn; medians of `--rounds`
ratio                of these two, median of the rounds; `ratio_range` = least and most
first_start_ms       the first answer of a server that has just announced itself; `first_swap_ms`: the first
                     answer out of a newly published release, median of `--swaps`; `later_ms`: median of the
                     others of that client, who asks once at a time
failed, requests     of all of the above, and of `--requests` more, with the highest rate, by the workers
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import orjson
import pyarrow.parquet as pq

import load
from freshet.wiring import open_workspace
from load import run
from shared import freshet, parse, parser, serving, simulated, tell


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--workspace", type=Path)
    made.add_argument("--workers", type=int, default=2)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--seconds", type=float, default=4.0, help="of load per server and round")
    made.add_argument("--swaps", type=int, default=10)
    made.add_argument("--requests", type=int, default=0, help="more of them; 1000000 takes some ten minutes")
    options = parse(made, rounds=1, seconds=0.3, swaps=2, requests=300)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "shop"
        if options.workspace is None or options.quick:
            simulated(root, planner="counts")
            published(root)
        else:
            shutil.copytree(options.workspace, root)
        found = measure(root, options.workers, options.rounds, options.seconds, options.requests)
        found |= first_answers(root, options.swaps)
    tell(options, found)


def measure(root: Path, workers: int, rounds: int, seconds: float, more: int) -> dict[str, Any]:
    """Rates of one worker and of several, and what failed."""
    asks = [load.post("/v1/explore", orjson.dumps(ask)) for ask in questions(root)]
    counts = (1, workers)
    rates: dict[int, list[float]] = {count: [] for count in counts}
    asked = []
    with ExitStack() as stack:
        servers = {n: stack.enter_context(serving(root, "--workers", str(n))) for n in counts}
        for _ in range(rounds):
            for count, server in servers.items():
                asked.append(run(load.closed(server.port, asks, seconds)))
                rates[count].append(asked[-1].rate)
        answered = 0
        while answered < more:
            asked.append(run(load.closed(servers[workers].port, asks, seconds)))
            answered += len(asked[-1].seconds)
    ratios = [b / a for a, b in zip(rates[1], rates[workers], strict=True)]
    return {
        "rps": {str(count): round(statistics.median(found)) for count, found in rates.items()},
        "ratio": round(statistics.median(ratios), 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "failed": sum(outcome.failed for outcome in asked),
        "requests": sum(len(outcome.seconds) for outcome in asked),
        "cores": os.cpu_count(),
    }


def first_answers(root: Path, swaps: int) -> dict[str, Any]:
    """Milliseconds of the first answers of a server and of new releases, and of those after them."""
    ws, asks, later, swapped = open_workspace(root), questions(root), list[float](), list[float]()
    with serving(root) as server, httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        count = 0

        def timed() -> tuple[float, int]:
            """Milliseconds of the next answer, and its release."""
            nonlocal count
            count += 1
            body = orjson.dumps(asks[count % len(asks)])
            begin = time.perf_counter()
            reply = client.post("/v1/explore", content=body)
            took = (time.perf_counter() - begin) * 1e3
            return took, int(reply.raise_for_status().json()["release"])

        client.get("/healthz")  # the connection is open
        start, serves = timed()
        for _ in range(swaps):
            current = ws.releases.current()
            assert current is not None
            ws.releases.publish(
                current.as_of,
                current.table,
                current.model,
                current.interests,
                "a swap",
                current.overlay,
                current.ranker,
            )
            end, before = time.perf_counter() + 60, serves
            while serves == before:
                if time.perf_counter() > end:
                    raise SystemExit("a new release was not served within a minute")
                took, serves = timed()
                (later if serves == before else swapped).append(took)
                time.sleep(0.005)
    return {
        "first_start_ms": round(start, 2),
        "first_swap_ms": round(statistics.median(swapped), 2),
        "first_swap_worst_ms": round(max(swapped), 2),
        "later_ms": round(statistics.median(later), 2),
    }


def published(root: Path) -> None:
    """A release of the SIMULATED log, with everything that it can have."""
    freshet("run", "-w", root, "--publish")


def questions(root: Path) -> list[dict[str, Any]]:
    """One for each of up to 2,000 users of the log."""
    days = sorted((root / "events").glob("date=*/*.parquet"))
    users = dict.fromkeys(
        user for day in days[-60:] for user in pq.read_table(day, columns=["user"])["user"].to_pylist()
    )
    return [{"user": user, "interests": 3, "items": 10} for user in list(users)[:2000]]


if __name__ == "__main__":
    main()
