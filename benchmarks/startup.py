"""How long commands take that only look, and a refresh that changes nothing, as whole processes.

    python benchmarks/startup.py --json
    python benchmarks/startup.py --workspace shop --rounds 9

On a SIMULATED workspace with two releases and `--runs` runs in its ledger, or on `--workspace`, whose copy is
refreshed. For each command: median and least seconds of wall clock and of processor (user and system, all
threads), and how many modules it had imported at its end. Beside them, alternating with them, the limits of
the machine: a Python that does nothing (`python`), and one that imports NumPy and Arrow (`libraries`).
Where other work runs beside, judge by the least and by the processor. Aims on an idle machine: help within
0.3 s, looks within 0.5 s, a refresh that changes nothing within 2 s.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared import Show, command, folder, freshet, parse, parser, simulated, tell

LIMITS = {"python": "pass", "libraries": "import numpy, pyarrow"}
COUNTED = """
import sys
from freshet.cli import main
try:
    main(sys.argv[1:])
finally:
    sys.stderr.write(f"\\n{len(sys.modules)}")
"""


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--workspace", type=Path, help="with a release; else a SIMULATED one is made")
    made.add_argument("--runs", type=int, default=1000, help="of the ledger of the SIMULATED one")
    made.add_argument("--rounds", type=int, default=7)
    options = parse(made, rounds=1, runs=20)
    given = None if options.quick else options.workspace
    with folder(given) as root, tempfile.TemporaryDirectory() as scratch:
        if given is None:
            build(root, options.runs)
        tell(options, measure(root, Path(scratch) / "copy", options))


def build(root: Path, runs: int) -> None:
    """A workspace with two releases, and a long ledger: records of the last run under later numbers."""
    from freshet.wiring import open_workspace

    simulated(root, planner="counts")
    ws = open_workspace(root)
    if ws.releases.current() is None:
        freshet("refresh", "-w", root, "--as-of", "2024-02-18", "--publish")
        freshet("refresh", "-w", root, "--publish")
    record = ws.ledger.records()[-1]
    for number in range(int(record.id) + 1, runs + 1):
        ws.ledger.save(replace(record, id=f"{number:05d}"))


def measure(root: Path, copied: Path, options: Any) -> dict[str, Any]:
    """All commands, round by round."""
    from freshet.wiring import open_workspace

    ws = open_workspace(root)
    current = ws.releases.current()
    if current is None:
        sys.exit(f"{root} has no release")
    interest = str(next(iter(open_interests(ws, current.interests))))
    shutil.copytree(root, copied)
    at = ("-w", str(root))
    calls = {
        "help": ("--help",),
        "status": ("status", *at),
        "history": ("history", *at),
        "interests": ("interests", *at),
        "diff": ("diff", *at, str(max(1, current.number - 1)), str(current.number)),
        "explain": ("explain", *at, interest),
        "refresh": ("refresh", "-w", str(copied)),
    }
    limits = {name: [sys.executable, "-c", code] for name, code in LIMITS.items()}
    commands = limits | {name: command(*given) for name, given in calls.items()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    show = Show()
    for number in range(options.rounds + 1):  # the first one compiles, and fills the disk's cache
        for name, call in commands.items():
            took = spent(call)
            if number or options.rounds == 1:
                found[name].append(took)
        show.say(f"round {number} of {options.rounds}")
    return {
        "simulated": options.workspace is None or options.quick,
        "load": round(os.getloadavg()[0], 1),
        "rounds": options.rounds,
        "runs": len(ws.ledger.paths()),
        "limits": {name: figures(found[name]) for name in limits},
        "commands": {name: figures(found[name]) | {"modules": modules(calls[name])} for name in calls},
    }


def open_interests(ws: Any, version: str) -> list[int]:
    """Ids of the interests of a release."""
    from freshet.stages import interests

    return [int(one) for one in interests.load(ws.store.find("interests", version).path).ids]


def spent(call: list[str]) -> tuple[float, float]:
    """Seconds of wall clock and of processor of a process, which must end well."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(call)} failed: {done.stdout}{done.stderr}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def figures(each: list[tuple[float, float]]) -> dict[str, float]:
    """Median and least of both clocks."""
    walls, processors = zip(*each, strict=True)
    return {
        "wall_s": round(statistics.median(walls), 3),
        "wall_min_s": round(min(walls), 3),
        "cpu_s": round(statistics.median(processors), 3),
        "cpu_min_s": round(min(processors), 3),
    }


def modules(given: tuple[str, ...]) -> int:
    """How many modules a command has imported at its end."""
    done = subprocess.run([sys.executable, "-c", COUNTED, *given], capture_output=True, text=True, check=True)
    return int(done.stderr.rpartition("\n")[2])


if __name__ == "__main__":
    main()
