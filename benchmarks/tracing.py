"""What tracing costs: the same service untraced, and traced to collectors that are there, silent, or away.

cpu_us          processor microseconds of the server per request, by kind of tracing: the median of the rounds
ratio           of these to those of the untraced server in the same round: median, least, most
failed          requests without a good answer
collected_mb    that the collector got

Servers take turns in every round, on the same connections; what else the machine does is `load`.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import load
from servers import USERS, server
from shared import parse, parser, tell

ASKS = [load.post("/v1/explore", b'{"user": "u%d"}' % n) for n in range(USERS)]
KINDS = {"off": 0.0, "none sampled": 0.0, "1 %": 0.01, "all": 1.0, "1 %, silent": 0.01, "1 %, away": 0.01}


class Collector(ThreadingHTTPServer):
    """Takes everything, and counts the bytes; a silent one never answers."""

    daemon_threads = True

    def __init__(self, silent: bool) -> None:
        self.bytes = 0
        collector, done = self, threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.bytes += len(self.rfile.read(int(self.headers["Content-Length"])))
                if silent:
                    done.wait(600)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


def main() -> None:
    """Measure, and tell."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=7)
    made.add_argument("--seconds", type=float, default=2.0, help="of load per server and round")
    options = parse(made, rounds=1, seconds=0.2)
    with tempfile.TemporaryDirectory() as folder:
        tell(options, measure(Path(folder), options.rounds, options.seconds))


def measure(folder: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """Processor time per request of every kind, in turns."""
    there, silent = Collector(silent=False), Collector(silent=True)
    urls = {"off": "", "1 %, silent": silent.url, "1 %, away": "http://127.0.0.1:1"}
    cpu: dict[str, list[float]] = {kind: [] for kind in KINDS}
    failed = 0
    with ExitStack() as open_:
        servers = {}
        for number, (kind, share) in enumerate(KINDS.items()):
            place = folder / str(number)
            place.mkdir()
            more = "--collector", urls.get(kind, there.url), "--traced", str(share)
            servers[kind] = open_.enter_context(server("freshet", place, *more))
        for one in servers.values():
            load.run(load.closed(one.port, ASKS, seconds / 2))  # warm
        for _ in range(rounds):
            for kind, one in servers.items():
                before = one.cpu()
                outcome = load.run(load.closed(one.port, ASKS, seconds))
                cpu[kind].append((one.cpu() - before) / len(outcome.seconds) * 1e6)
                failed += outcome.failed
    ratios = {kind: [a / b for a, b in zip(found, cpu["off"], strict=True)] for kind, found in cpu.items()}
    return {
        "cpu_us": {kind: round(statistics.median(found), 1) for kind, found in cpu.items()},
        "ratio": {
            kind: [round(statistics.median(found), 3), round(min(found), 3), round(max(found), 3)]
            for kind, found in ratios.items()
            if kind != "off"
        },
        "failed": failed,
        "collected_mb": round(there.bytes / 1e6, 2),
        "rounds": rounds,
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    main()
