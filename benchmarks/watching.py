"""What a look at the service levels costs, and what measuring drift and loss costs once per log.

    python benchmarks/watching.py --workspace shop --json

measured_s      seconds in which drift and expected loss are worked out for a log that was counted
look_ms         milliseconds of a look that reads what was found
command_cpu_s   processor seconds of `freshet alerts --json`, as a server calls it every few minutes
events          of the log; `transitions`: evaluated twice to learn what age costs; `runs`: of the ledger
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from freshet import inspect
from freshet.core.time import utc_now
from freshet.inspect.freshness import FOLDER
from freshet.stages.events import EventLog
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from shared import folder, freshet, parse, parser, simulated, tell


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--workspace", type=Path, help="with a release")
    made.add_argument("--rounds", type=int, default=5)
    options = parse(made, "workspace", rounds=1)
    with folder(None if options.quick else options.workspace) as root:
        if options.quick:
            simulated(root, planner="counts")
            freshet("refresh", "-w", root, "--publish")
        tell(options, measure(open_workspace(root), options.rounds))


def measure(ws: Workspace, rounds: int) -> dict[str, Any]:
    """Looks of every kind."""
    kept = ws.root / FOLDER / "freshness.json"

    def anew() -> None:
        kept.unlink(missing_ok=True)
        inspect.service_levels(ws, utc_now())

    anew()  # what is compiled on first use
    found = inspect.service_levels(ws, utc_now()).freshness
    measured = [_seconds(anew) for _ in range(rounds)]
    looks = [_seconds(lambda: inspect.service_levels(ws, utc_now())) for _ in range(5 * rounds)]
    before = _children()
    for _ in range(rounds):
        freshet("alerts", "-w", ws.root, "--json")
    return {
        "measured_s": _spread(measured, 2),
        "look_ms": _spread([1e3 * one for one in looks], 1),
        "command_cpu_s": round((_children() - before) / rounds, 2),
        "events": EventLog(ws.source).snapshot().rows,
        "transitions": found.loss.transitions if found is not None and found.loss is not None else 0,
        "runs": len(ws.ledger.paths()),
        "rounds": rounds,
        "load": round(os.getloadavg()[0], 1),
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _spread(values: list[float], digits: int) -> list[float]:
    """Median, least and most."""
    return [round(one, digits) for one in (statistics.median(values), min(values), max(values))]


if __name__ == "__main__":
    main()
