"""A SIMULATED year of `freshet schedule`: due runs made once, budgets kept, and what policies buy.

The loop, the leases, the ledger and the policies are the real ones, on a workspace in a folder. Simulated are
the clock, the world, and what a run makes: it counts a SIMULATED log anew, for a price that is set. Two
schedulers stand side by side; again and again the one that acts is killed (SIGKILL), within runs and between
them, and another is started. Tastes in the world drift a little every day, and for a quarter of the themes at
once in the middle of the year.

    python benchmarks/scheduled_year.py --json
"""

from __future__ import annotations

import mmap
import os
import pickle
import random
import signal
import struct
import sys
import tempfile
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import numpy as np

import cadence
from freshet.core.cron_times import Cron
from freshet.core.types import RECENT, FloatArray, Signs, Staleness, Transitions
from freshet.scheduling.scheduler import Decision, Scheduler
from freshet.simulator import SIMULATED, World, known_answers
from freshet.stages import counts, schedule
from freshet.storage.ledger import Record
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from shared import parse, parser, tell

START = datetime(2024, 1, 1, tzinfo=UTC)
"""The first day of the world; the first table is of day WARM."""
WARM = cadence.WARM
CRON, ZONE = "30 2 * * *", "Europe/Berlin"
SETTINGS = """[planner]
kind = "counts"
[prices]
per_hour = 0
per_million_tokens = 1e6
currency = "hits"
[schedule]
policy = "{policy}"
refresh_days = {days}
value_per_hit = 1.0
refresh_cron = "{cron}"
timezone = "{zone}"
budget_per_month = {budget}
retries = 100
"""


@dataclass(frozen=True)
class Truth:
    """A SIMULATED log, counts before every morning, and what is true.

    Attributes:
        first: (days + 1,) where the rows of a day begin.
        odds: (n, themes) true probability of every successor.
    """

    world: World
    rows: Transitions
    first: np.ndarray[Any, Any]
    odds: FloatArray
    models: list[counts.CountModel]
    weights: FloatArray

    def top(self, day: int, at: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """(m, 5) first five successors of some rows by the counts of a morning."""
        part = self.rows.take(at)
        logp = counts.Scorer(self.models[day], self.weights).by_counts(part.recent, part.known)
        return np.argpartition(-logp, cadence.TOP, axis=1)[:, : cadence.TOP]

    def hits(self, day: int, at: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """(m,) whether what happened was among them."""
        return np.asarray((self.top(day, at) == self.rows.successor[at][:, None]).any(axis=1))


def make_truth(world: World, path: Path) -> None:
    """In a process of its own, as counting starts threads, which a process that forks must not have."""
    found = known_answers(world)
    rows = found.transitions
    recent = np.full((len(rows), RECENT), -1, np.int16)
    recent[:, -2:] = rows.recent
    rows = Transitions.on_days(rows.user, rows.day, recent, rows.successor, rows.known)
    models = cadence.daily_models(rows, world)
    weights = cadence.fitted(models, rows)
    first = np.searchsorted(rows.day, np.arange(world.days + 1))
    path.write_bytes(pickle.dumps(Truth(world, rows, first, found.truth.astype(np.float32), models, weights)))


class Clock:
    """A time that processes share."""

    def __init__(self, now: datetime) -> None:
        self._memory = mmap.mmap(-1, 8)
        self.set(now)

    def __call__(self) -> datetime:
        (seconds,) = struct.unpack("d", self._memory[:8])
        return datetime.fromtimestamp(seconds, UTC)

    def set(self, now: datetime) -> None:
        self._memory[:8] = struct.pack("d", now.timestamp())

    def add(self, seconds: float) -> None:
        self.set(self() + timedelta(seconds=seconds))


class Simulated:
    """One scheduler of the simulated year, in a process of its own."""

    def __init__(self, root: Path, truth: Truth, options: Namespace, clock: Clock, seed: int) -> None:
        self.root, self.truth, self.options, self.clock = root, truth, options, clock
        self.rng = random.Random(seed)
        self.events = 1 + int(self.rng.expovariate(1 / options.between_kills))
        self.leads = False
        self.scheduler = Scheduler(self.open, {"run": self.run}, clock, self.sleep, self.told, every=86_400.0)

    def main(self, end: datetime) -> None:
        """Lead or stand by until the year is over."""
        while self.clock() < end:
            self.scheduler.lead(lambda: self.clock() >= end)
            if self.clock() < end:
                time.sleep(0.02)

    def event(self) -> None:
        """Something at which a process may die; only who leads does, or nobody would."""
        if self.leads:
            self.events -= 1
        if self.events <= 0:
            self.log("die")
            os.kill(os.getpid(), signal.SIGKILL)

    def open(self) -> Workspace:
        self.event()
        return replace(open_workspace(self.root), clock=self.clock)

    def sleep(self, seconds: float) -> None:
        self.clock.add(seconds)

    def told(self, decision: Decision) -> None:
        if decision.what in ("leads", "standby"):
            self.leads = decision.what == "leads"

    def run(self, ws: Workspace, _: datetime) -> Record:
        """Look, and count anew where the policy says so."""
        with ws.run("run") as run:
            self.log("begin")
            self.event()
            day = (self.clock() - START).days
            refreshes = refreshed(ws.ledger.records()) or [WARM]
            with run.step("cadence") as step:
                config = ws.config.schedule
                policy = schedule.policy(
                    config.policy, config.refresh_days, config.drift_alpha, config.value_per_hit
                )
                signs = self.signs(day, refreshes, looks_at_losses=policy.looks.staleness)
                refresh = day > refreshes[-1] and policy.decide(signs).refresh
            self.clock.add(self.rng.uniform(60, 1800))
            self.event()
            if refresh or not refreshed(ws.ledger.records()):
                with run.step("table") as step:
                    step.tokens = round(self.options.cost)
                    step.details = {"day": max(day, WARM)}
                    self.event()
            self.event()
            self.log("end")
        return run.record

    def signs(self, day: int, refreshes: Sequence[int], *, looks_at_losses: bool) -> Signs:
        """What is known on a morning, as in `benchmarks/cadence.py`."""
        first, window, back = self.truth.first, cadence.WINDOW, cadence.BACK
        past = np.arange(first[max(0, refreshes[-1] - back)], first[day])
        traffic = float(first[day] - first[day - window]) / window
        lost = self.staleness(day, refreshes) if looks_at_losses else Staleness.none()
        return Signs(
            day, tuple(refreshes), window, self.truth.rows.take(past), traffic, lost, self.options.cost
        )

    def staleness(self, day: int, refreshes: Sequence[int]) -> Staleness:
        truth, made = self.truth, np.array(refreshes)
        at = np.arange(truth.first[max(WARM, day - cadence.BACK)], truth.first[day])
        on = truth.rows.day[at]
        by = made[np.searchsorted(made, on, side="right") - 1]
        hit = np.zeros((2, len(at)), bool)
        for which, counted in enumerate((by, on)):
            for one in np.unique(counted):
                rows = np.flatnonzero(counted == one)
                hit[which, rows] = truth.hits(int(one), at[rows])
        nats = np.zeros(len(at))
        return Staleness(truth.rows.user[at], on, (on - by).astype(np.int32), *hit, nats, nats)

    def log(self, what: str) -> None:
        """When runs began and ended, by a clock that runs on: what overlaps shows here."""
        with (self.root / "overlap.log").open("a") as file:
            file.write(f"{what} {os.getpid()} {time.monotonic()}\n")


def refreshed(records: Sequence[Record]) -> list[int]:
    """Days of the tables, by the ledger; a run that was killed after its table has made it."""
    return [
        step.details["day"]
        for one in records
        for step in one.steps
        if step.name == "table" and not step.failed
    ]


def simulate(truth: Truth, policy: str, days: int, options: Namespace) -> dict[str, Any]:
    """A year under one policy."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "freshet.toml").write_text(
            SETTINGS.format(policy=policy, days=days, cron=CRON, zone=ZONE, budget=options.budget)
        )
        start = START + timedelta(days=WARM, hours=1)
        end = START + timedelta(days=truth.world.days)
        clock = Clock(start)
        deaths, seed = 0, options.first_seed * 1000
        living: set[int] = set()
        while clock() < end or living:
            while len(living) < 2 and clock() < end:
                seed += 1
                if (child := os.fork()) == 0:
                    Simulated(root, truth, options, clock, seed).main(end)
                    os._exit(0)
                living.add(child)
            child, status = os.wait()
            living.discard(child)
            if os.WIFSIGNALED(status):
                deaths += 1
            elif status:
                raise RuntimeError(f"a scheduler ended with {status}")
        ws = open_workspace(root)
        found = checked(ws.ledger.records(), start, end, options)
        found["overlaps"] = overlaps(root / "overlap.log")
        found["kills"] = deaths
        found["seconds"] = round(time.monotonic() - begun, 1)
        made = refreshed(ws.ledger.records())
    return found | judged(truth, made, options)


def checked(records: list[Record], start: datetime, end: datetime, options: Namespace) -> dict[str, Any]:
    """Whether every due run was made once, and what each month cost."""
    zone = ZoneInfo(ZONE)
    cron = Cron(CRON, zone)
    ended = [datetime.fromisoformat(one.started) for one in records if one.outcome == "done"]
    made = Counter(cron.until(one) for one in ended)
    months: Counter[str] = Counter()
    held = missing = 0
    slots = [slot] if (slot := cron.until(start)) is not None else []
    while slots[-1] < end - timedelta(days=1):
        slots.append(cron.after(slots[-1]))
    for slot in slots:
        month = f"{slot.astimezone(zone):%Y-%m}"
        spent = sum(
            one.money
            for one in records
            if f"{datetime.fromisoformat(one.started).astimezone(zone):%Y-%m}" == month
            and datetime.fromisoformat(one.started) < cron.after(slot)  # of killed ones, too
        )
        if not made[slot]:
            held, missing = (
                (held + 1, missing) if spent + options.cost > options.budget else (held, missing + 1)
            )
    for one in records:
        months[f"{datetime.fromisoformat(one.started).astimezone(zone):%Y-%m}"] += round(one.money)
    return {
        "due": len(slots),
        "made_once": sum(1 for slot in slots if made[slot] == 1),
        "made_twice": sum(1 for slot in slots if made[slot] > 1),
        "held_by_budget": held,
        "missing": missing,
        "killed_within_a_run": sum(1 for one in records if one.outcome == "running"),
        "dearest_month": max(months.values()),
        "budget": options.budget,
    }


def overlaps(path: Path) -> int:
    """Runs that began while another one went on."""
    count, running = 0, 0.0
    spans, begun = [], {}
    for line in path.read_text().splitlines():
        what, pid, at = line.split()
        if what == "begin":
            begun[pid] = float(at)
        elif pid in begun:  # one that dies between runs has none
            spans.append((begun.pop(pid), float(at)))
    for first, last in sorted(spans):
        count += first < running
        running = max(running, last)
    return count


def judged(truth: Truth, made: list[int], options: Namespace) -> dict[str, Any]:
    """True hits with the tables in use, in a process of its own."""
    read, write = os.pipe()
    if os.fork() == 0:
        days = np.arange(WARM, truth.world.days)
        used = np.array(made)[np.searchsorted(made, days, side="right") - 1]
        total = 0.0
        for table in np.unique(used):
            on = days[used == table]
            at = np.arange(truth.first[on[0]], truth.first[on[-1] + 1])
            top = truth.top(int(table), at)
            total += float(np.take_along_axis(truth.odds[at], top, axis=1).sum())
        os.write(write, struct.pack("d", total))
        os._exit(0)
    (total,) = struct.unpack("d", os.read(read, 8))
    os.wait()
    rows = int(truth.first[-1] - truth.first[WARM])
    later = [day for day in made if day > truth.world.change_day]
    cost = options.cost * len(made)
    return {
        "refreshes": len(made),
        "delay": later[0] - truth.world.change_day if later else None,
        "hit_at_5": total / rows,
        "hits": total,
        "cost": cost,
        "hits_minus_cost": total - cost,
    }


def main() -> None:
    options = arguments()
    days = WARM + options.days
    world = World(
        days=days, change_day=WARM + options.days // 2, drift="gradual", trends=0.0, users=options.users,
        seed=options.first_seed, sessions=options.sessions,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "truth")
        if os.fork() == 0:
            make_truth(world, path)
            os._exit(0)
        os.wait()
        truth: Truth = pickle.loads(path.read_bytes())
    ways = {"every 2 days": ("fixed", 2), "every 7 days": ("fixed", 7), "every 28 days": ("fixed", 28)}
    ways |= {name: (name, 2) for name in get_args(schedule.Kind) if name != "fixed"}
    result: dict[str, Any] = {
        "note": SIMULATED,
        "days": options.days,
        "transitions": len(truth.rows),
        "cost_in_hits": options.cost,
        "load": os.getloadavg()[0],
        "policies": {},
    }
    for name, (kind, every) in ways.items():
        if options.only and name not in options.only.split(","):
            continue
        result["policies"][name] = simulate(truth, kind, every, options)
        print(f"{name}: {result['policies'][name]}", file=sys.stderr, flush=True)
    tell(options, result, lambda: readable(result))


def readable(result: dict[str, Any]) -> str:
    lines = [f"SIMULATED, {result['days']} days, {result['transitions']:,} transitions"]
    for name, found in result["policies"].items():
        lines.append(
            f"  {name:14s} "
            + ", ".join(f"{key} {value:.4g}" for key, value in found.items() if value is not None)
        )
    return "\n".join(lines)


def arguments() -> Namespace:
    made = parser(__doc__)
    made.add_argument("--days", type=int, default=365, help="of the year")
    made.add_argument("--users", type=int, default=4000, help="of the world")
    made.add_argument("--sessions", type=float, default=12.0, help="of a typical user")
    made.add_argument("--first-seed", type=int, default=300, help="of the world, and of what is killed when")
    made.add_argument("--cost", type=float, default=10.0, help="of a refresh, in hits")
    made.add_argument("--budget", type=float, default=80.0, help="of a month, in hits")
    made.add_argument(
        "--between-kills",
        type=float,
        default=15.0,
        help="events (looks, steps of runs) until a scheduler dies, on average",
    )
    made.add_argument("--only", default="", help="names of policies, with commas")
    return parse(made, days=20, users=300, only="every 2 days")


if __name__ == "__main__":
    main()
