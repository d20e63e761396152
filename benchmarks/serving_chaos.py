"""Kill -9 in the middle of an event stream, again and again: is an event lost, is one counted twice?

    python benchmarks/serving_chaos.py --kills 50 --json

The real `freshet serve` on a small SIMULATED workspace. Clients send batches of events over HTTP, each event
with an id of its own (every third without: user, item and time are its identity). At a random moment the
server is killed (SIGKILL) and started again; a client whose batch was not answered sends it again, as one
should, and some that were answered. In the end the journal is compared with what was sent, then collected
into the event log by `freshet collect`, which is killed as well, and the log is compared.

kills          servers killed; `collect_kills` of `freshet collect`
acknowledged   events whose batch was answered as written
resent         events sent again because no answer came; `known` of them were written all the same
lost           acknowledged events that are not in the journal; `log_lost` not in the log
twice          events that are in the journal more than once; `log_twice` in the log
forgotten      users whose remembered history misses an item they engaged
restart_s      median seconds from the start of a server to its first answer
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import httpx

from shared import command, freshet, parse, parser, simulated, tell

os.environ.setdefault("OMP_NUM_THREADS", "1")

CLIENTS, BATCH, USERS, ITEMS = 4, 25, 500, 50
START = int(datetime(2024, 3, 1, tzinfo=UTC).timestamp())
TRANSIENT = (httpx.TransportError, httpx.TimeoutException)


@dataclass
class Client:
    """Sends events in batches until told to stop; knows what was acknowledged."""

    number: int
    url: str = ""
    sent: int = 0
    acknowledged: set[int] = field(default_factory=set)
    pending: list[int] = field(default_factory=list)
    resent: int = 0
    known: int = 0
    wrong: list[str] = field(default_factory=list)

    def send_until(self, stopped: threading.Event) -> None:
        """Batch after batch; ends when the server is gone or when told to."""
        rng = random.Random(self.number * 1_000_003 + self.sent)
        with httpx.Client(base_url=self.url, timeout=10) as http:
            while not stopped.is_set():
                try:
                    self._send(http, rng)
                except TRANSIENT:
                    return

    def _send(self, http: httpx.Client, rng: random.Random) -> None:
        again = bool(self.pending)
        if not again:
            start = self.number * 100_000_000 + self.sent
            self.pending = [*range(start, start + BATCH)]
            self.sent += BATCH
        double = rng.sample(sorted(self.acknowledged), 3) if len(self.acknowledged) > 99 else []
        reply = http.post("/v1/events", json=[event(n) for n in [*self.pending, *double]])
        if reply.status_code == 503:
            return
        told = [one["status"] for one in reply.json()["receipts"]]
        good = {"recorded", "duplicate"} if again else {"recorded"}
        if reply.status_code != 200 or not {*told[:BATCH]} <= good or {*told[BATCH:]} - {"duplicate"}:
            self.wrong.append(f"{reply.status_code}: {Counter(told)}")
        self.resent += BATCH * again
        self.known += told[:BATCH].count("duplicate")
        self.acknowledged |= {*self.pending}
        self.pending = []


def event(number: int) -> dict[str, Any]:
    """The n-th event; its time is its own, so that it is known by (user, item, time) too."""
    made = {"user": f"live{number % USERS}", "item": f"item{number % ITEMS:05d}", "value": 9.0}
    return made | {"time": START + number / 1000, "id": "" if number % 3 == 0 else f"e{number}"}


def main() -> None:
    """Run, report, and fail if anything was lost or counted twice."""
    options = arguments()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        space = prepare(Path(folder))
        found = chaos(space, options.kills, options.collect_kills, options.seed)
    tell(options, found)
    bad = ("lost", "twice", "log_lost", "log_twice", "forgotten", "wrong")
    sys.exit(any(found[name] for name in bad))


def prepare(folder: Path) -> Path:
    """A workspace with a release; items are named as `event` names them."""
    space = folder / "shop"
    simulated(space, planner="counts")
    with (space / "freshet.toml").open("a") as file:
        file.write("[http]\noldest_event_days = 40000\n")  # its events are of START
    freshet("run", "-w", space)
    return space


def chaos(space: Path, kills: int, collect_kills: int, seed: int) -> dict[str, Any]:
    """Kill the server again and again, then compare."""
    rng = random.Random(seed)
    clients = [Client(number + 1) for number in range(CLIENTS)]
    starts, began = [], time.monotonic()
    for kill in range(kills + 1):
        server, url, seconds = served(space)
        starts.append(seconds)
        stopped = threading.Event()
        for client in clients:
            client.url = url
        threads = [threading.Thread(target=client.send_until, args=(stopped,)) for client in clients]
        for thread in threads:
            thread.start()
        time.sleep(rng.uniform(0.05, 1.0))
        if kill == kills:  # the last one is left to end well, with every batch answered
            stopped.set()
            for thread in threads:
                thread.join()
            server.send_signal(signal.SIGTERM)
        else:
            server.kill()
            for thread in threads:
                thread.join()
            print(f"{kill + 1} of {kills} kills", file=sys.stderr) if (kill + 1) % 10 == 0 else None
        server.communicate()
    pending = sum(len(client.pending) for client in clients)
    found = {
        "kills": kills,
        "acknowledged": sum(len(client.acknowledged) for client in clients),
        "unanswered": pending,
        "resent": sum(client.resent for client in clients),
        "known": sum(client.known for client in clients),
        "wrong": [text for client in clients for text in client.wrong][:5],
        "restart_s": round(statistics.median(starts), 2),
    }
    acknowledged = set().union(*(client.acknowledged for client in clients))
    found |= compared(space, acknowledged)
    found |= collected(space, acknowledged, collect_kills, rng)
    return found | {"seed": seed, "seconds": round(time.monotonic() - began, 1)}


def served(space: Path) -> tuple[subprocess.Popen[str], str, float]:
    """A server that answers, and how long that took."""
    start = time.monotonic()
    call = command("serve", "-w", space, "--port", 0, "--no-auth", "--json")
    with (space.parent / "serve.log").open("w") as log:
        server = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=log, text=True)
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line:
        raise RuntimeError((space.parent / "serve.log").read_text()[-2000:])
    url = json.loads(line)["url"]
    httpx.get(f"{url}/readyz", timeout=10).raise_for_status()
    return server, url, time.monotonic() - start


def compared(space: Path, acknowledged: set[int]) -> dict[str, Any]:
    """What the state holds against what was acknowledged."""
    from freshet.core.types import TRANSITION
    from freshet.core.types.ids import item_key, user_key
    from freshet.wiring import open_user_store, open_workspace

    state = open_user_store(space, open_workspace(space).config)
    held: Counter[int] = Counter()
    after = 0
    while entries := state.events.read(after, 50_000):
        held.update(number_of(json.loads(entry.body[TRANSITION.itemsize :])) for entry in entries)
        after = entries[-1].position
    told = {number: event(number) for number in acknowledged}
    wanted: dict[str, set[int]] = {}
    for one in told.values():
        wanted.setdefault(one["user"], set()).add(item_key(one["item"]))
    users = sorted(wanted)
    known = state.histories([user_key(user) for user in users])
    forgotten = sum(
        not wanted[user] <= {*history.items.tolist()} for user, history in zip(users, known, strict=True)
    )
    state.close()
    return {
        "journal": sum(held.values()),
        "lost": len(acknowledged - held.keys()),
        "twice": sum(count > 1 for count in held.values()),
        "forgotten": forgotten,
    }


def number_of(told: dict[str, Any]) -> int:
    """Which event of the stream the journal tells of."""
    return round((told["time"] / 1_000_000 - START) * 1000)


def collected(space: Path, acknowledged: set[int], kills: int, rng: random.Random) -> dict[str, Any]:
    """Collect, killed some times on the way; what the log holds against what was acknowledged."""
    from freshet.stages.events import EventLog

    call = command("collect", "-w", space)
    killed = 0
    for _ in range(kills):
        process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0.6, 3.0))
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
        process.wait()
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    scan = EventLog(space).snapshot().scan
    rows = duckdb.sql(f'SELECT epoch_us("time") FROM {scan} WHERE "user" LIKE \'live%\'').fetchall()
    held = Counter(number_of({"time": time}) for (time,) in rows)
    return {
        "collect_kills": killed,
        "log_lost": len(acknowledged - held.keys()),
        "log_twice": sum(count > 1 for count in held.values()),
    }


def arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--kills", type=int, default=50)
    made.add_argument("--collect-kills", type=int, default=5)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--scratch", type=Path, help="folder for the workspace; the system's by default")
    return parse(made, kills=2, collect_kills=1)


if __name__ == "__main__":
    main()
