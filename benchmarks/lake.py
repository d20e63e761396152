"""What does importing a lake from a bucket cost, and how much of its files travels?

    python benchmarks/lake.py                    # a SIMULATED lake of 30 days, 3 million events
    python benchmarks/lake.py --events 10000000 --json
    python benchmarks/lake.py --quick            # the same, small, in seconds

A lake as Spark writes one: a Parquet file per day under `date=...`, user, item, time and value beside 40
columns of numbers that the log does not keep; the same events as JSONL packed by gzip. It is imported from
local disk, then from a bucket of a SeaweedFS server on this machine, in turns. In `bad` one row of every day
has no user: what quarantine keeps of it needs all columns of its row group.

`seconds`: median of `--rounds` imports, each into an empty log; `spread` = slowest / fastest;
`processor_seconds`: of the importing process alone. `ratio` = bucket / local. `served` /
`stored` = bytes that the server sent, counted by a proxy during one more import / bytes of the files
(`share`); `requests` to the server. Server and import share the machine's cores.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
from obstore.store import from_url

from shared import Show, parse, parser, tell

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.servers import s3_server

from freshet.core.config import Events
from freshet.core.urls import Location, location
from freshet.stages.events import EventLog
from freshet.wiring import sources

DAYS, OTHERS = 30, 40
START = date(2024, 1, 1)
NOW = datetime(2024, 6, 1, tzinfo=UTC)


class Proxy:
    """Counts bytes and requests between clients and a server; connections are passed on as they are."""

    def __init__(self, endpoint: str) -> None:
        self._to = urlsplit(endpoint).hostname, urlsplit(endpoint).port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.served = self.requests = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(self._to)
            for source, target, counts in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass_on, args=(source, target, counts), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        try:
            while piece := source.recv(1 << 18):
                if counts:
                    self.served += len(piece)
                else:
                    self.requests += piece.count(b" HTTP/1.1\r\n")
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            target.close()

    def close(self) -> None:
        self._listening.close()


def lake(folder: Path, events: int, bad: bool) -> None:
    """Parquet by day: four columns that the log keeps, and others."""
    draw = np.random.default_rng(7)
    for day in range(DAYS):
        rows = events // DAYS
        users = np.char.add("u", draw.integers(0, max(10, events // 20), rows).astype(str))
        if bad:
            users[rows // 2] = ""
        midnight = datetime.combine(START + timedelta(days=day), datetime.min.time(), UTC).timestamp()
        table = {
            "user_id": users,
            "item_id": np.char.add("i", (draw.zipf(1.3, rows) % 50_000).astype(str)),
            "timestamp": (np.sort(draw.integers(0, 86_400_000, rows)) + int(midnight * 1000)),
            "value": draw.integers(1, 6, rows).astype(float),
            **{f"feature_{n}": draw.random(rows, np.float32) for n in range(OTHERS)},
        }
        below = folder / f"date={START + timedelta(days=day)}"
        below.mkdir(parents=True)
        pq.write_table(pa.table(table), below / "part-0.parquet", row_group_size=max(1_000, rows // 4))


def text_lake(parquet: Path, folder: Path) -> None:
    """The events of a lake as packed lines of JSON, without its other columns."""
    for path in sorted(parquet.rglob("*.parquet")):
        table = pq.read_table(path, columns=["user_id", "item_id", "timestamp", "value"], partitioning=None)
        lines = "".join(json.dumps(row) + "\n" for row in table.to_pylist())
        folder.mkdir(exist_ok=True)
        (folder / f"{path.parent.name}.jsonl.gz").write_bytes(gzip.compress(lines.encode(), 1))


def upload(folder: Path, url: str) -> int:
    """Every file as an object; the bytes of all."""
    store, stored = from_url(url), 0
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            obstore.put(store, f"{folder.name}/{path.relative_to(folder).as_posix()}", path)
            stored += path.stat().st_size
    return stored


def imported(source: Location, scratch: Path) -> tuple[float, float, tuple[int, int]]:
    """Seconds of an import into an empty log, those of processors, and (rows added, rows refused)."""
    root = Path(tempfile.mkdtemp(dir=scratch))
    start, busy = time.perf_counter(), time.process_time()
    report = EventLog(root, store=sources()).import_events(source, Events(), now=NOW)
    took = time.perf_counter() - start, time.process_time() - busy
    shutil.rmtree(root)
    return *took, (report.added, sum(report.quarantined.values()))


def compared(folder: Path, url: str, endpoint: str, scratch: Path, rounds: int) -> dict[str, Any]:
    """One lake from disk and from the bucket, in turns; once more through a proxy that counts."""
    stored = upload(folder, url)
    there = location(f"{url}/{folder.name}")
    took: dict[str, list[tuple[float, float]]] = {"local": [], "bucket": []}
    found = set()
    for _ in range(rounds):
        for where, source in (("local", folder), ("bucket", there)):
            seconds, busy, rows = imported(source, scratch)
            took[where].append((seconds, busy))
            found.add(rows)
    proxy = Proxy(endpoint)
    os.environ["AWS_ENDPOINT_URL"] = proxy.endpoint
    found.add(imported(there, scratch)[2])
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    proxy.close()
    ((added, refused),) = found  # the same from both, every time
    wall, busy = ({where: [each[n] for each in took[where]] for where in took} for n in (0, 1))
    return {
        "events": added,
        "refused": refused,
        "seconds": {where: round(statistics.median(each), 2) for where, each in wall.items()},
        "spread": {where: round(max(each) / min(each), 2) for where, each in wall.items()},
        "processor_seconds": {where: round(statistics.median(each), 2) for where, each in busy.items()},
        "ratio": round(statistics.median(wall["bucket"]) / statistics.median(wall["local"]), 2),
        "processor_ratio": round(statistics.median(busy["bucket"]) / statistics.median(busy["local"]), 2),
        "stored": stored,
        "served": proxy.served,
        "share": round(proxy.served / stored, 3),
        "requests": proxy.requests,
    }


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--events", type=int, default=3_000_000)
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--scratch", type=Path, help="folder for what is made; else a temporary one")
    options = parse(made, events=30_000, rounds=1)
    told = Show()
    with tempfile.TemporaryDirectory(dir=options.scratch) as below:
        scratch, found = Path(below), {}
        for name, bad in (("parquet", False), ("bad", True)):
            lake(scratch / name, options.events, bad)
        text_lake(scratch / "parquet", scratch / "text")
        with s3_server(scratch / "s3") as server:
            server.make_bucket("lake")
            os.environ.update(server.env)
            for name in ("parquet", "bad", "text"):
                found[name] = compared(scratch / name, "s3://lake", server.endpoint, scratch, options.rounds)
                told.say(f"{name}: {found[name]}")
    lakes = {"days": DAYS, "other_columns": OTHERS, "rounds": options.rounds}
    tell(options, {"simulated": True, **lakes, **found})


if __name__ == "__main__":
    main()
