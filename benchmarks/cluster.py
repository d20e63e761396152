r"""What does a Ray cluster cost against this machine, how does it scale, and what does a large count take?

    python benchmarks/cluster.py --json
    python benchmarks/cluster.py --events 200000000 --positive "value >= 5" --only count --workers 2 \
        --no-local

Machines of the cluster are SIMULATED: so many raylets on this one, with a core each by their own account.
More of them than this machine has free cores show overhead alone, no gain.

- `count`: a SIMULATED log (as in `transitions.py`) is counted by threads of this process (`local`) and by the
  cluster, each in a process of its own, and what comes out is compared byte for byte.
- `inference`: a `scratch` model, tuned for a few steps, is asked about contexts of two interests, in chunks
  of 512.
- `seconds` are from the first job to the last file; `cpu_seconds` those of the driver and its workers (a
  machine that is busy with other things changes them less); `efficiency` is CPU of `local` over that of the
  cluster. `ray_cpu_seconds` and `ray_rss_gb` are those of Ray's own processes, which run on each machine
  whatever it does.
- `peak_rss_gb`: the largest sum over driver and workers at one moment, twenty times a second.
- `planned`: what a billion events take at these rates, no measurement.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice, permutations
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import numpy as np
import psutil

import transitions
from freshet import wiring_executor
from freshet.backends.executors.local_executor import LocalExecutor
from freshet.backends.planners.scratch import ScratchTuner
from freshet.core.config import Config, RayConfig, TransitionsConfig
from freshet.core.ports import Budget, Executor, Tuner, TuningJob
from freshet.core.prompts import names, render
from freshet.core.types import Example, Interests, Prompt
from freshet.stages import events
from freshet.stages.transitions import count
from shared import parse, parser, tell

DAYS, CHUNK, TOP = 120, 512, 20
STORE = 100 * 2**20


def main() -> None:
    options = arguments()
    if options.stage:
        with tempfile.TemporaryDirectory(dir=options.log) as scratch:
            print(json.dumps(stage(options, Path(scratch))))
        return
    if options.data is not None:
        options.data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.data) as scratch:
        result = measure(options, Path(scratch))
    tell(options, result)


def measure(options: argparse.Namespace, root: Path) -> dict[str, Any]:
    result: dict[str, Any] = {"simulated": True, "cores": os.cpu_count(), "events": options.events}
    where = [*([] if options.no_local else [0]), *options.workers]
    for part in options.only:
        log = root
        if part == "count":
            log = (options.data or root) / f"log-{options.events}-{DAYS}"
            transitions.generate(log, options.events, DAYS)
        else:
            tuned(root / "model")
        found = {}
        for workers in where:
            command = [
                sys.executable,
                __file__,
                "--stage",
                part,
                "--log",
                str(log),
                "--workers",
                str(workers),
            ]
            command += ["--events", str(options.events), "--positive", options.positive]
            command += ["--prompts", str(options.prompts)]
            load = round(os.getloadavg()[0], 1)
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            name = f"{workers} workers" if workers else "local"
            found[name] = json.loads(done.stdout.splitlines()[-1]) | {"load_before": load}
            print(part, name, found[name], file=sys.stderr)
        result[part] = found | compared(found)
    if "count" in result:
        result["planned"] = planned(result["count"], options)
    return result


def compared(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Whether all gave the same, and what the cluster costs more."""
    local = found.get("local")
    same = len({one["content"] for one in found.values()}) == 1
    if local is None:
        return {"same": same}
    others = {name: one for name, one in found.items() if name != "local"}
    return {
        "same": same,
        "efficiency": {
            name: round(local["cpu_seconds"] / one["cpu_seconds"], 2) for name, one in others.items()
        },
    }


def planned(found: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """A billion events by the rates of the largest cluster measured."""
    one = [figures for name, figures in found.items() if name.endswith("workers")][-1]
    share, cores = 1e9 / options.events, 64
    return {
        "events": 1_000_000_000,
        "core_hours": round(one["cpu_seconds"] * share / 3600, 2),
        f"minutes_on_{cores}_cores": round(one["cpu_seconds"] * share / 60 / cores, 1),
        "scratch_gb": round(one["scratch_gb"] * share, 1),
        "pool_gb": round(one["pool_gb"] * share, 1),
        "log_gb": round(one["log_gb"] * share, 1),
        "cpu_us_per_event": round(one["cpu_seconds"] / options.events * 1e6, 2),
        "measured": False,
    }


def stage(options: argparse.Namespace, root: Path) -> dict[str, Any]:
    """One measured process: a count, or answers, here or on a cluster."""
    [workers] = options.workers
    with cluster(workers, root) as executor:
        [*executor.map(abs, range(4 * max(1, workers)))]  # Ray's own start is no part of it
        with Usage() as usage:
            answer = (
                counted(options, executor, root) if options.stage == "count" else asked(options, executor)
            )
        return usage.figures() | answer


@contextmanager
def cluster(workers: int, root: Path) -> Iterator[Executor]:
    """An executor: threads of this process, or so many machines of one core beside the driver's with none."""
    if not workers:
        yield LocalExecutor()
        return
    from freshet.backends.executors.ray_cluster import need_ray

    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # listen on 127.0.0.1
    ray = need_ray()
    from ray.cluster_utils import Cluster

    own = {"node_ip_address": "127.0.0.1", "object_store_memory": STORE}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **own})
    for _ in range(workers):
        made.add_node(num_cpus=1, **own)
    try:
        config = Config(executor="ray", ray=RayConfig(address=made.address))
        yield wiring_executor.executor_for(config, root)
    finally:
        ray.shutdown()
        made.shutdown()


class Usage:
    """What this process and those that it started use in the block, by looking twenty times a second."""

    def __enter__(self) -> Usage:
        self.cpu: dict[int, tuple[bool, float]] = {}
        self.before: dict[int, float] = {}
        self.peak = self.driver = self.worker = self.ray = 0
        self._look()
        self.before = {pid: cpu for pid, (_, cpu) in self.cpu.items()}
        self.peak = self.driver = self.worker = self.ray = 0
        self.ended = Event()
        self.watch = Thread(target=self._watch)
        self.started = monotonic()
        self.watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = monotonic() - self.started
        self.ended.set()
        self.watch.join()
        self._look()

    def figures(self) -> dict[str, Any]:
        used = {
            own: sum(cpu - self.before.get(pid, 0.0) for pid, (mine, cpu) in self.cpu.items() if mine is own)
            for own in (True, False)
        }
        return {
            "seconds": round(self.seconds, 2),
            "cpu_seconds": round(used[True], 2),
            "ray_cpu_seconds": round(used[False], 2),
            "peak_rss_gb": round(self.peak / 1e9, 3),
            "driver_rss_gb": round(self.driver / 1e9, 3),
            "largest_worker_rss_gb": round(self.worker / 1e9, 3),
            "ray_rss_gb": round(self.ray / 1e9, 3),
        }

    def _watch(self) -> None:
        while not self.ended.wait(0.05):
            self._look()

    def _look(self) -> None:
        me, own, ray = psutil.Process(), 0, 0
        for process in [me, *me.children(recursive=True)]:
            try:
                with process.oneshot():
                    times, rss, name = process.cpu_times(), process.memory_info().rss, process.cmdline()
            except psutil.Error:
                continue
            works = process.pid == me.pid or bool(name and name[0].startswith("ray::"))
            self.cpu[process.pid] = works, times.user + times.system
            own, ray = own + works * rss, ray + (not works) * rss
            if process.pid == me.pid:
                self.driver = max(self.driver, rss)
            elif works:
                self.worker = max(self.worker, rss)
        self.peak, self.ray = max(self.peak, own), max(self.ray, ray)


def counted(options: argparse.Namespace, executor: Executor, root: Path) -> dict[str, Any]:
    into, pool = root / "counted", root / "pool"
    into.mkdir()
    days = [
        (transitions.FIRST + timedelta(days=day), options.log / f"{day:05d}.parquet") for day in range(DAYS)
    ]
    with Largest(root / "counted.spill") as spill:
        summary = count(
            days,
            options.log / "assignment.parquet",
            events.parse(options.positive).sql,
            transitions.INTERESTS,
            TransitionsConfig(novelty_days=transitions.NOVELTY),
            None,
            pool,
            into,
            executor,
        )
    content = hashlib.sha256()
    for path in [into / "days.json", *sorted(pool.rglob("*.parquet"))]:
        content.update(path.name.encode())
        with path.open("rb") as file:
            content.update(hashlib.file_digest(file, "sha256").digest())
    return {
        "content": content.hexdigest()[:16],
        "transitions": summary["transitions"],
        "scratch_gb": round(spill.size / 1e9, 3),
        "pool_gb": transitions.folder_gb(pool),
        "log_gb": round(sum(path.stat().st_size for _, path in days) / 1e9, 3),
    }


class Largest:
    """The largest size of a folder in the block, by looking once a second."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.size, self.ended = folder, 0, Event()

    def __enter__(self) -> Largest:
        self.watch = Thread(target=self._watch)
        self.watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.watch.join()

    def _watch(self) -> None:
        while not self.ended.wait(0.5):
            size = 0
            for path in self.folder.glob("*"):
                try:
                    size += path.stat().st_size
                except FileNotFoundError:
                    continue
            self.size = max(self.size, size)


def world() -> Interests:
    """A hundred interests, two words each."""
    words = tuple(f"taste{i // 10} kind{i % 10}" for i in range(100))
    vectors = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    return Interests(np.arange(100, dtype=np.int32), words, vectors)


def prompts(count: int) -> list[Prompt]:
    """The first contexts of two interests."""
    known = names(world().descriptions, "description")
    return [Prompt(context, render(context, known)) for context in islice(permutations(range(100), 2), count)]


def tuned(into: Path) -> None:
    """A model after few steps: weaker than a real one, and as fast."""
    known = names(world().descriptions, "description")
    examples = [Example(one, i % 100, known[i % 100]) for i, one in enumerate(prompts(2000))]
    job = TuningJob(world(), examples, known, "description", 0.0, 0.0, 0, 0, Budget(steps=20), 0)
    ScratchTuner(device="cpu").tune(job, into)


def asked(options: argparse.Namespace, executor: Executor) -> dict[str, Any]:
    tuner: Tuner | None = ScratchTuner(device="cpu")
    if not isinstance(executor, LocalExecutor):
        tuner = wiring_executor.tuner_through(executor, tuner, Config(executor="ray"))
    assert tuner is not None
    wanted = prompts(options.prompts)
    planner = tuner.open(options.log / "model", world())
    chunks = [wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK)]
    start = monotonic()
    first = planner.rank(wanted[:8], TOP)  # opens
    opened = monotonic() - start
    found = dict(planner.rank_each(chunks, TOP))
    content = hashlib.sha256(first.logp.tobytes())
    for number in range(len(chunks)):
        content.update(found[number].successors.tobytes() + found[number].logp.tobytes())
    return {"content": content.hexdigest()[:16], "prompts": len(wanted), "seconds_to_open": round(opened, 2)}


def arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--events", type=int, default=20_000_000)
    made.add_argument("--prompts", type=int, default=9_900, help="at most 9,900")
    made.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    made.add_argument(
        "--positive", default="value >= 3", help="the positive rule; values are 1 to 5, alike often"
    )
    made.add_argument("--only", nargs="+", choices=("count", "inference"), default=["count", "inference"])
    made.add_argument("--no-local", action="store_true", help="leave out this machine by itself")
    made.add_argument("--data", type=Path, help="folder for the log (kept, for another run) and the counts")
    made.add_argument("--stage", help=argparse.SUPPRESS)
    made.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    return parse(made, events=20_000, prompts=600, workers=[2])


if __name__ == "__main__":
    main()
