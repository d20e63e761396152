"""How long until something serves: one `freshet run` on a fresh workspace, as a whole process.

    python benchmarks/first_release.py --events log.parquet --items items.parquet --json

- `first_release_s`: from the start of the process until the first release is current; `full_s`: until it
  ends, models and ranker of items included. `first_release_processor_s` and `full_processor_s` are processor
  seconds (user and system, all threads) of the same: where other work runs beside, they tell more.
- `releases`: of the run, each with the seconds at which it was numbered and what is behind it.
- `steps`: seconds of each step up to the first release; `peak_rss_gb` is of the whole process.

Where a gate halts the run, `outcome` says so, and what was published before it serves.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from shared import folder, parse, parser, simulated, tell

TICKS = os.sysconf("SC_CLK_TCK")
LOOK = 0.05
"""Seconds between two looks at the process."""


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--events", type=Path, help="event file of the log")
    made.add_argument("--items", type=Path, help="its item file")
    made.add_argument("--positive", default="", help="its positive rule")
    made.add_argument("--interests", type=int, default=100)
    made.add_argument("--planner", default="scratch")
    made.add_argument("--keep", type=Path, help="the workspace, left there; None = it goes away")
    options = parse(made, needs="events")
    load = os.getloadavg()[0]
    with folder(options.keep) as root:
        prepare(root, options)
        tell(options, {"note": note(options), "load": round(load, 1), **measured(root)})


def note(options: argparse.Namespace) -> str:
    """What was measured."""
    return (
        "SIMULATED log, planner of tests" if options.quick else f"{options.events}, {options.planner}, n = 1"
    )


def prepare(root: Path, options: argparse.Namespace) -> None:
    """A fresh workspace."""
    if options.quick:
        simulated(root)
        return
    command = [sys.executable, "-m", "freshet", "init", str(root), "--events", str(options.events), "--force"]
    command += ["--interests", str(options.interests), "--planner", options.planner]
    command += ["--items", str(options.items)] if options.items else []
    command += ["--positive", options.positive] if options.positive else []
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def measured(root: Path) -> dict[str, Any]:
    """One run, watched from outside."""
    start, began = time.monotonic(), time.time()
    process = subprocess.Popen(
        [sys.executable, "-m", "freshet", "run", "-w", str(root), "--json"], stdout=subprocess.DEVNULL
    )
    first: dict[str, Any] = {"first_release_s": None, "first_release_processor_s": None}
    while process.poll() is None:
        if first["first_release_s"] is None and (root / "CURRENT").exists():
            first["first_release_s"] = round(time.monotonic() - start, 1)
            first["first_release_processor_s"] = processor_seconds(process.pid)
        time.sleep(LOOK)
    full = time.monotonic() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if first["first_release_s"] is None and (root / "CURRENT").exists():  # it ended between two looks
        first |= {"first_release_s": round(full, 1)}
    [record] = [json.loads(path.read_text()) for path in sorted((root / "runs").glob("*.json"))][-1:]
    return {
        **first,
        "full_s": round(full, 1),
        "full_processor_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_rss_gb": round(used.ru_maxrss / 2**20, 2),
        "outcome": record["outcome"],
        "releases": releases(root, began),
        "steps": steps(record),
    }


def processor_seconds(pid: int) -> float | None:
    """Of a process so far; None where it has just ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return round((int(fields[11]) + int(fields[12])) / TICKS, 1)


def releases(root: Path, began: float) -> list[dict[str, Any]]:
    """What was numbered when, in order."""
    found = []
    for path in sorted((root / "releases").glob("*.json"), key=lambda path: int(path.stem)):
        release = json.loads(path.read_text())
        seconds = round(path.stat().st_mtime - began, 1)
        found.append({"number": release["number"], "s": seconds, "model": bool(release["model"])})
    return found


def steps(record: dict[str, Any]) -> dict[str, float]:
    """Seconds of the steps up to the first table that serves."""
    found: dict[str, float] = {}
    for step in record["steps"]:
        if step["name"] in ("tuning", "sequence", "ranker"):
            break
        found[step["name"]] = round(found.get(step["name"], 0.0) + step["seconds"], 2)
    return found


if __name__ == "__main__":
    main()
