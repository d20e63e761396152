"""Requests beside a refresh: what people wait for while the workspace they are served from is refreshed.

    python benchmarks/beside.py --json
    python benchmarks/beside.py --work beside --rounds 4 --kinds refresh,schedule,finetune --json

A SIMULATED workspace (200 interests, so 40,001 rows; `scratch` planner, sequence model, ranker of items) is
served by a real `freshet serve`, request log on, and asked `--rate` times a second at even distances,
whatever it does; each answer is timed from the moment its request was due. One request in 25 reports an
event, which is forced to the disk before it is acknowledged; its time is told apart, all else is about
recommendations. Blocks alternate in one run: alone for `--seconds`, then beside a command from its start to
its end and two seconds more, so that the new release is opened and answers within the block. Every time a new
day has come.

refresh     `freshet refresh`, as a person types it
schedule    `freshet schedule --once`, which makes a `freshet run`: collects, imports, refreshes
finetune    `freshet finetune`
plain       `freshet refresh` with `[schedule] nice = 0`: what it would be if runs did not make way

Server and commands are sessions of their own, as services are: Linux shares processors between sessions first
(`sched_autogroup`, decision 65). The generator takes part of the same processors; it sleeps between
requests and runs before all others where it may (`generator_preferred`), and says how late it was.

alone, <kind>   p50, p99, p999 and longest of all blocks in ms: median over blocks (least to most)
ratio_p99       p99 of each block over that of the block alone before it; the aim is below 2
swap_ms         longest answer from 3 s before the first answer of a new release to 1 s after it
failed          requests without a good answer
late_ms         of the generator: how long after a request was due it was sent
others_share    of the machine's processor time, what neither server, command nor generator used
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psutil

import load
from shared import Served, Show, command, folder, freshet, parse, parser, serving, tell

KINDS = {
    "refresh": ("refresh",),
    "plain": ("refresh",),
    "schedule": ("schedule", "--once"),
    "finetune": ("finetune",),
}
BEFORE = 60
"""Days of the world that the first release knows."""
AFTER = 2.0
"""Seconds for which a block goes on when its command has ended."""
LONGEST = 600.0
LOG = "beside.log"
"""What the last command said, beside the workspace."""
EVENTS = 25
"""Each request of this number reports an event instead, which the answer says is on the disk."""
SWAP = (3.0, 1.0)
"""Seconds before and after the first answer of a new release that count as its swap."""
QUANTILES = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999, "longest_ms": 1.0}
SETTINGS = """[events]
files = ["log/*.parquet"]
items = "world/items.parquet"
positive = "value >= 7"
[interests]
count = {interests}
[planner]
kind = "{planner}"
[ranker]
use = true
max_steps = 50
[tuning]
every_days = 3650
max_steps = {steps}
[table]
max_churn = 1.0
[schedule]
refresh_days = 1
"""


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--work", type=Path, help="the workspace, made where there is none")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--kinds", default="refresh,schedule", help=f"of {', '.join(KINDS)}")
    made.add_argument("--rate", type=float, default=500.0, help="requests per second")
    made.add_argument("--seconds", type=float, default=30.0, help="of a block alone")
    made.add_argument("--interests", type=int, default=200)
    made.add_argument("--items", type=int, default=8000)
    made.add_argument("--users", type=int, default=6000)
    made.add_argument("--planner", default="scratch")
    made.add_argument("--seed", type=int, default=0)
    options = parse(made, rounds=1, rate=50.0, seconds=1.0, interests=8, items=96, users=150, planner="fake")
    kinds = options.kinds.split(",")
    if not {*kinds} <= KINDS.keys():
        made.error(f"--kinds {options.kinds}: expected some of {', '.join(KINDS)}")
    with folder(options.work) as made_in:
        root = made_in / "shop"
        root.mkdir(exist_ok=True, parents=True)
        tell(options, measure(root, options, kinds, Days(root, options)))


@dataclass
class Block:
    """A load, and what was beside it.

    Attributes:
        at, release: of each answer, when it came, and which release answered (b"" = it was about events).
        command_s, processor_s: of the command; `priority`: its nice value and policy while it ran.
        others: share of the machine's processor time that went to nobody here.
    """

    outcome: load.Outcome = field(default_factory=load.Outcome)
    at: list[float] = field(default_factory=list)
    release: list[bytes] = field(default_factory=list)
    command_s: float = 0.0
    processor_s: float = 0.0
    priority: str = ""
    others: float = 0.0

    def check(self, number: int, _status: int, body: bytes) -> None:
        """Note an answer."""
        self.at.append(time.perf_counter())
        at = -1 if number % EVENTS == 0 else body.find(b'"release":')
        self.release.append(body[at + 10 : body.find(b",", at)] if at >= 0 else b"")

    def ms(self, share: float, *, events: bool = False) -> float:
        """A quantile of the milliseconds of recommendations, or of events."""
        answers = zip(self.outcome.seconds, self.release, strict=True)
        return load.Outcome([s for s, release in answers if events != bool(release)]).quantile(share) * 1e3

    def swap_ms(self) -> float | None:
        """The longest recommendation around the first of a new release; None where there was no new one."""
        found = [one for one in zip(self.release, self.at, self.outcome.seconds, strict=True) if one[0]]
        new = next((at for release, at, _ in found if release != found[0][0]), None)
        if new is None:
            return None
        return max(s for _, at, s in found if new - SWAP[0] <= at <= new + SWAP[1]) * 1e3


class Days:
    """A world whose days come one by one; the first `BEFORE` of them are published."""

    def __init__(self, root: Path, options: argparse.Namespace) -> None:
        from freshet.simulator import World, generate

        self._root = root
        # days that came in an earlier run on the same workspace stay; as many again are to come
        self._next = len([*(root / "log").glob("*.parquet")])
        kinds = options.kinds.split(",")
        wanted = max(self._next, 1) + options.rounds * len(kinds)
        small = options.interests < 60
        # events that are reported during the load are of today, so the world's last days are those before it
        noted = root / "start"
        first = date.fromisoformat(noted.read_text()) if noted.exists() else None
        self._world = World(
            start=first or datetime.now(UTC).date() - timedelta(days=BEFORE + wanted),
            themes=options.interests if small else 60,
            items=options.items,
            users=options.users,
            days=BEFORE + 60,
            change_day=BEFORE,
            sessions=16.0,
            seed=options.seed,
        )
        if wanted > 60:
            sys.exit(f"{root} has used up its days: take another --work")
        if self._next:
            return
        Show().say(f"simulating {options.items:,} items and {options.users:,} users")
        generate(self._world, root / "world")
        noted.write_text(str(self._world.start))
        steps = 20 if small else 300
        (root / "freshet.toml").write_text(
            SETTINGS.format(interests=options.interests, planner=options.planner, steps=steps)
        )
        self.come()
        self._first()

    def come(self) -> None:
        """The next day, or the first ones, lies in `log/`."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        events = pq.read_table(self._root / "world" / "events.parquet")
        day = pc.cast(events["timestamp"], pa.date32())
        start = self._world.start + timedelta(days=BEFORE + self._next - 1)
        new = pc.less(day, start + timedelta(days=1))
        if self._next:
            new = pc.and_(new, pc.greater_equal(day, start))
        (self._root / "log").mkdir(exist_ok=True)
        pq.write_table(events.filter(new), self._root / "log" / f"{self._next:03d}.parquet")
        self._next += 1

    def _first(self) -> None:
        """The first release; a gate may halt it, for what a refresh takes does not depend on it."""
        Show().say("importing, tuning, publishing")
        freshet("import", "-w", self._root)
        done = subprocess.run(
            command("finetune", "-w", self._root, "--json"), capture_output=True, text=True, check=False
        )
        if done.returncode == 3:
            from freshet.wiring import open_workspace

            last = open_workspace(self._root).ledger.records()[-1].id
            freshet("approve", last, "-w", self._root, "--reason", "a benchmark")
        elif done.returncode:
            sys.exit(f"finetune failed:\n{done.stdout}{done.stderr}")
        freshet("refresh", "-w", self._root)


def measure(root: Path, options: argparse.Namespace, kinds: list[str], days: Days) -> dict[str, Any]:
    """All blocks, in turn."""
    say, loads = Show().say, [os.getloadavg()[0]]
    users = min(options.users, 2000)
    asks = [
        load.post("/v1/explore", orjson.dumps({"user": f"user{n:05d}", "interests": 3, "items": 10}))
        if n % EVENTS
        else load.post(
            "/v1/events", orjson.dumps([{"user": f"user{n:05d}", "item": f"item{n % options.items:05d}"}])
        )
        for n in range(users - users % EVENTS)
    ]
    blocks: dict[str, list[Block]] = {"alone": [], **{kind: [] for kind in kinds}}
    ratios: dict[str, list[float]] = {kind: [] for kind in kinds}
    with load.preferred() as preferred:
        pass
    with serving(root, start=os.setsid) as served:
        load.run(load.paced(served.port, asks, 2.0, options.rate))  # warm
        for _ in range(options.rounds):
            for kind in kinds:
                prepare(root, kind, days)
                alone = block(served, asks, options)
                beside = block(served, asks, options, lambda kind=kind: started(root, kind))  # type: ignore[misc]
                blocks["alone"].append(alone)
                blocks[kind].append(beside)
                ratios[kind].append(beside.ms(0.99) / alone.ms(0.99))
                loads.append(os.getloadavg()[0])
                say(f"{kind}: {ratios[kind][-1]:.2f} times the p99 of {alone.ms(0.99):.2f} ms")
    every = [one for found in blocks.values() for one in found]
    late = load.Outcome(seconds=[one for block in every for one in block.outcome.late])
    return {
        "note": "SIMULATED; milliseconds from when a request was due, median over blocks (least, most)",
        "load": [round(min(loads), 1), round(max(loads), 1)],
        "sizes": {
            name: getattr(options, name)
            for name in ("rate", "seconds", "rounds", "interests", "items", "users", "planner", "seed")
        },
        **{kind: figures(found) for kind, found in blocks.items()},
        "ratio_p99": {kind: spread(found) for kind, found in ratios.items()},
        "requests": sum(len(one.outcome.seconds) for one in every),
        "failed": sum(one.outcome.failed for one in every),
        "late_ms": {name: round(late.quantile(share) * 1e3, 2) for name, share in QUANTILES.items()},
        "generator_preferred": preferred,
        "cores": os.cpu_count(),
    }


def prepare(root: Path, kind: str, days: Days) -> None:
    """A new day, imported unless the command does that; the scheduler's last run was yesterday."""
    toml = root / "freshet.toml"
    text = toml.read_text().replace("nice = 0\n", "")
    toml.write_text(text + ("nice = 0\n" if kind == "plain" else ""))
    days.come()
    if kind != "schedule":
        freshet("import", "-w", root)
    for path in (root / "runs").glob("*.json"):
        record = json.loads(path.read_text())
        started = datetime.fromisoformat(record["started"]) - timedelta(days=1)
        path.write_text(json.dumps({**record, "started": started.astimezone(UTC).isoformat()}))


def started(root: Path, kind: str) -> subprocess.Popen[bytes]:
    """A command in a session of its own."""
    with (root.parent / LOG).open("wb") as log:
        return subprocess.Popen(
            command(*KINDS[kind], "-w", root), stdout=log, stderr=log, start_new_session=True
        )


def block(
    served: Served,
    asks: list[bytes],
    options: argparse.Namespace,
    start: Callable[[], subprocess.Popen[bytes]] | None = None,
) -> Block:
    """A load alone, or as long as a command goes on."""
    found = Block()
    server = psutil.Process(served.process.pid)
    ours, total = time.process_time() + used(server), busy()
    begin = time.monotonic()
    running = start() if start is not None else None
    ended: list[float] = []

    def over() -> bool:
        if running is None:
            return False
        if not ended and running.returncode is None:
            pid, status, usage = os.wait4(running.pid, os.WNOHANG)
            if not pid:
                found.priority = priority(running.pid) or found.priority
                return False
            running.returncode = os.waitstatus_to_exitcode(status)
            ended.append(time.monotonic())
            found.processor_s = usage.ru_utime + usage.ru_stime
        return time.monotonic() > ended[0] + AFTER

    seconds = options.seconds if running is None else LONGEST
    found.outcome = load.run(load.paced(served.port, asks, seconds, options.rate, 32, found.check, over))
    if running is not None:
        if running.returncode != 0:
            running.kill()
            said = (served.log.parent / LOG).read_text()[-2000:]
            sys.exit(f"{' '.join(map(str, running.args))} ended with {running.returncode}: {said}")  # type: ignore[union-attr]
        found.command_s = ended[0] - begin
    spent = time.process_time() + used(server) - ours + found.processor_s
    found.others = max(0.0, busy() - total - spent) / ((time.monotonic() - begin) * (os.cpu_count() or 1))
    return found


def priority(pid: int) -> str:
    """Of a process; '' where it is gone."""
    try:
        policy = {os.SCHED_OTHER: "other", os.SCHED_BATCH: "batch", os.SCHED_IDLE: "idle"}
        nice, name = os.getpriority(os.PRIO_PROCESS, pid), policy.get(os.sched_getscheduler(pid), "")
        group = Path(f"/proc/{pid}/autogroup").read_text().strip().rpartition(" ")[2]
    except OSError:
        return ""
    return f"nice {nice}, policy {name}, session {group}"


def used(server: psutil.Process) -> float:
    """Processor seconds of the server and what it started."""
    times = [one.cpu_times() for one in (server, *server.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


def busy() -> float:
    """Processor seconds that the machine has worked."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def figures(found: list[Block]) -> dict[str, Any]:
    """Of the blocks of one kind."""
    told: dict[str, Any] = {
        name: spread([one.ms(share) for one in found]) for name, share in QUANTILES.items()
    }
    told["events_p99_ms"] = spread([one.ms(0.99, events=True) for one in found])
    swaps = [swap for one in found if (swap := one.swap_ms()) is not None]
    if swaps:
        told["swap_ms"] = spread(swaps)
    if found[0].command_s:
        told["command_s"] = spread([one.command_s for one in found])
        told["command_processor_s"] = spread([one.processor_s for one in found])
        told["priority"] = found[0].priority
    told["others_share"] = spread([one.others for one in found])
    return told | {"blocks": len(found), "requests": sum(len(one.outcome.seconds) for one in found)}


def spread(values: list[float]) -> list[float]:
    """Median, least and most."""
    return [round(value, 2) for value in (statistics.median(values), min(values), max(values))]


if __name__ == "__main__":
    main()
