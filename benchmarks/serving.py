"""The service under load: what HTTP costs, how long requests take, and releases swapped meanwhile.

    python benchmarks/serving.py --json

Three servers run, each a process with one event loop (uvicorn, uvloop, httptools, no access log): `freshet
serve` around the SYNTHETIC release of `explore.py` (100 interests, 50,000 items, 2,000 users with ten recent
interests and 100 items each, one in ten requests explores, request log on); a FastAPI route with the same
request and response models that returns one of its answers; a bare Starlette echo of the body. One generator
asks them in turn, round by round, on 32 connections that stay open; it and the servers share the machine's
cores. Every request names another user; no answer is cached anywhere.

rps, constant_rps, bare_rps   answers per second at most; medians of the rounds
ratio_vs_constant             of the first two, median of the rounds; `ratio_range` = least and most
cpu_us                        processor microseconds of the server per request, whoever else took the cores
p50_ms_half_load, p99_...     milliseconds at half of `rps`, requests sent at even distances whatever the
                              server does, each timed from when it was due; the better of two runs
events_per_s                  events made durable per second, 100 per request; `single_events_per_s`: one per
                              request, 64 connections: group commit
failed                        requests of all of the above that had no good answer
swaps                         see below

Swaps: a SIMULATED workspace with two tables. For `--swap-seconds`, 8 connections ask while releases are
published in turn (200 of them) and rolled back (20), each as soon as the last one answers. `failed` requests,
and `mixed`: answers that differ in any number from what an in-process `Recommender` answers to the same
question out of the table of the release that the answer names.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson

import load
from load import run
from servers import USERS, Server, server
from shared import parse, parser, tell
from swapping import swapped

SERVERS = ("bare", "constant", "freshet")
ASKS = [
    load.post("/v1/explore", orjson.dumps({"user": f"u{n}", "interests": 3, "items": 10}))
    for n in range(USERS)
]
"""What the issue's figure is about: 3 interests with 10 items each, of a remembered user."""


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--seconds", type=float, default=4.0, help="of load per server and round")
    made.add_argument("--swap-seconds", type=float, default=60.0, help="0 = no swaps")
    made.add_argument("--swap-users", type=int, default=600, help="of the log that releases are made of")
    made.add_argument("--swaps", type=int, default=200)
    made.add_argument("--rollbacks", type=int, default=20)
    options = parse(made, rounds=1, seconds=0.2, swap_seconds=0.5, swap_users=150, swaps=2, rollbacks=1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.rounds, options.seconds)
        if options.swap_seconds:
            found["swaps"] = swapped(
                Path(folder), options.swap_users, options.swap_seconds, options.swaps, options.rollbacks
            )
    tell(options, found)


def measure(folder: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """Rates, times and events."""
    with server("freshet", folder) as freshet:
        (folder / "answer.json").write_bytes(ask_once(freshet.port, ASKS[0]))
        with server("constant", folder) as constant, server("bare", folder) as bare:
            servers = dict(zip(SERVERS, (bare, constant, freshet), strict=True))
            rates, cpu, asked = compared(servers, rounds, seconds)
        half = statistics.median(rates["freshet"]) / 2
        paced = [run(load.paced(freshet.port, ASKS, 2 * seconds, half)) for _ in range(2)]
        events = [run(load.closed(freshet.port, event_requests(100), seconds, 8)) for _ in range(2)]
        single = run(load.closed(freshet.port, event_requests(1), seconds, 64))
    asked += [*paced, *events, single]
    ratios = [a / b for a, b in zip(rates["freshet"], rates["constant"], strict=True)]
    return {
        "rps": round(statistics.median(rates["freshet"])),
        "constant_rps": round(statistics.median(rates["constant"])),
        "bare_rps": round(statistics.median(rates["bare"])),
        "ratio_vs_constant": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "cpu_us": {name: round(statistics.median(found)) for name, found in cpu.items()},
        "half_load_rps": round(half),
        "p50_ms_half_load": round(min(o.quantile(0.5) for o in paced) * 1e3, 2),
        "p99_ms_half_load": round(min(o.quantile(0.99) for o in paced) * 1e3, 2),
        "events_per_s": round(100 * statistics.median(o.rate for o in events)),
        "single_events_per_s": round(single.rate),
        "failed": sum(outcome.failed for outcome in asked),
        "requests": sum(len(outcome.seconds) for outcome in asked),
        "sizes": {"users": USERS, "rounds": rounds, "seconds": seconds, "cores": os.cpu_count()},
    }


def compared(
    servers: dict[str, Server], rounds: int, seconds: float
) -> tuple[dict[str, list[float]], dict[str, list[float]], list[load.Outcome]]:
    """Rates and processor microseconds per request of each server, round by round, and all outcomes."""
    rates: dict[str, list[float]] = {name: [] for name in servers}
    cpu: dict[str, list[float]] = {name: [] for name in servers}
    asked = [run(load.closed(one.port, ASKS, 1.0)) for one in servers.values()]  # warm
    for _ in range(rounds):
        for name, one in servers.items():
            before = one.cpu()
            outcome = run(load.closed(one.port, ASKS, seconds))
            rates[name].append(outcome.rate)
            cpu[name].append((one.cpu() - before) / len(outcome.seconds) * 1e6)
            asked.append(outcome)
    return rates, cpu, asked


def event_requests(each: int) -> list[bytes]:
    """Requests whose events are all different."""
    salt = time.time_ns()

    def event(n: int, k: int) -> dict[str, str]:
        return {
            "user": f"u{(7 * n + k) % USERS}",
            "item": f"i{(31 * n + k) % 50_000}",
            "id": f"{salt}-{n}-{k}",
        }

    count = 2_000 if each > 1 else 60_000
    return [load.post("/v1/events", orjson.dumps([event(n, k) for k in range(each)])) for n in range(count)]


def ask_once(port: int, request: bytes) -> bytes:
    """The body of one answer."""
    found: list[bytes] = []
    run(load.closed(port, [request], 5.0, 1, lambda _, __, body: found.append(body), lambda: bool(found)))
    return found[0]


if __name__ == "__main__":
    main()
