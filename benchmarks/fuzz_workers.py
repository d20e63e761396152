"""Cases tried one after another in a process of its own; one that dies or hangs costs its case alone."""

from __future__ import annotations

import faulthandler
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIMIT, PATIENCE = 30, 600
"""Seconds for one case: of a processor, a hundred times what one takes, and of the clock."""
EXAMPLES = 3
"""Of a kind of failure that are kept."""
SHM = Path("/dev/shm")


def scratch() -> str | None:
    """Where folders of cases are made: in memory where there is such a place."""
    return str(SHM) if SHM.is_dir() else None


@dataclass
class Found:
    """What came of cases so far; `examples` are the first ones of every failure, each with its number."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def note(self, told: dict[str, Any], save: Callable[[int], dict[str, Any]]) -> None:
        """Count a case.

        Args:
            told: its `case`, `form`, `outcome`, and `why` it failed, '' where it did not.
            save: keeps what a case was made of; called for the first of a kind.
        """
        self.outcomes[f"{told['form']}: {told['outcome']}"] += 1
        if why := told["why"]:
            self.failures[why] += 1
            if self.failures[why] <= EXAMPLES:
                self.examples.append(told | save(told["case"]))

    def as_dict(self, count: int, seconds: float) -> dict[str, Any]:
        """For people and tests."""
        return {
            "n": count,
            "ms_per_case": round(1000 * seconds / max(count, 1), 1),
            "outcomes": dict(sorted(self.outcomes.items())),
            "failures": dict(self.failures),
            "examples": self.examples,
        }


def drive(
    kind: str, seed: int, first: int, count: int, save: Callable[[int], dict[str, Any]], *more: object
) -> dict[str, Any]:
    """Have every case tried; a worker that ends within one is told with it, and another goes on behind it.

    Args:
        kind: of the cases, as `fuzz.py --worker` knows it.
        more: options for the worker.
    """
    began, found = time.monotonic(), Found()
    at, end = first, first + count
    while at < end:
        call = [sys.executable, str(Path(__file__).with_name("fuzz.py")), "--worker", kind]
        call += ["--seed", str(seed), "--first", str(at), f"--{kind}", str(end - at), *map(str, more)]
        with tempfile.TemporaryFile("w+") as said:
            worker = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=said, text=True)
            assert worker.stdout is not None
            with worker.stdout as lines:
                for line in lines:
                    told = json.loads(line)
                    at = told["case"] + 1
                    found.note(told, save)
            code = worker.wait()
            if at < end:  # it ended within a case
                said.seek(0)
                why = "hang" if code in (1, -signal.SIGPROF) else f"ended with {code}"
                told = {"case": at, "form": "worker", "outcome": "ended", "why": why}
                found.note(told | {"detail": said.read()[-1500:]}, save)
                at += 1
    return found.as_dict(count, time.monotonic() - began)


@contextmanager
def watched() -> Iterator[None]:
    """A block that may take so long; then the process tells where it is, and ends."""
    faulthandler.register(signal.SIGPROF, chain=True)
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    faulthandler.cancel_dump_traceback_later()


def tell_case(number: int, form: str, outcome: str, why: str = "", detail: str = "") -> None:
    """What a worker says of a case: a line of JSON."""
    told = {"case": number, "form": form, "outcome": outcome, "why": why, "detail": detail}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def quick_commands() -> None:
    """Have the tree of `freshet`'s commands built once in this process, not at every call."""
    import typer.main

    from freshet.cli import app

    built = typer.main.get_command(app.command_line())
    app.command_line = lambda _=(): built  # type: ignore[assignment,return-value]  # it is called in the same way
