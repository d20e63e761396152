"""Work that can wait makes way, and only where that is permitted. Each case is a process: nice is for good."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow
BASE = os.getpriority(os.PRIO_PROCESS, 0)
"""Of the tests themselves, from which everything starts."""
LOWER, LOWEST = min(19, BASE + 4), min(19, BASE + 8)
SEEN = """
import os, threading
from pathlib import Path
from freshet.core import priority

def nices():
    return {os.getpriority(os.PRIO_PROCESS, int(one.name)) for one in Path("/proc/self/task").iterdir()}

def session():
    path = Path("/proc/self/autogroup")
    told = path.read_text() if path.exists() else ""  # nothing is told of the first session of a machine
    return int(told.rpartition(" ")[2]) if told else None

wait = threading.Event()
threading.Thread(target=wait.wait, daemon=True).start()  # as the pools of numerical libraries
"""


def printed(code: str, *, leads: bool = False, more: int = 0) -> str:
    command = ["nice", "-n", str(more), sys.executable, "-c", SEEN + code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=leads)
    return done.stdout.strip()


def test_every_thread_and_what_is_started_later_makes_way() -> None:
    code = f"""
import subprocess, sys
priority.permit()
priority.make_way({LOWER})
child = subprocess.run([sys.executable, "-c", "import os; print(os.nice(0))"], capture_output=True, text=True)
print(nices(), int(child.stdout))
"""
    assert printed(code) == f"{{{LOWER}}} {LOWER}"


def test_a_program_that_only_calls_freshet_keeps_its_priority() -> None:
    assert printed(f"priority.make_way({LOWEST})\nprint(nices())") == f"{{{BASE}}}"


@pytest.mark.parametrize("nice", [0, LOWER])
def test_nothing_is_raised(nice: int) -> None:
    code = f"priority.permit()\npriority.make_way({nice})\nprint(nices())"
    assert printed(code, more=LOWEST - BASE) == f"{{{LOWEST}}}"


@pytest.mark.parametrize("leads", [True, False])
def test_a_session_of_its_own_makes_way_and_somebodys_terminal_does_not(leads: bool) -> None:
    """Where processors are shared by session, a nice value alone would change nothing between two services."""
    code = f"print(session())\npriority.permit()\npriority.make_way({LOWER})\nprint(session())"
    before, after = printed(code, leads=leads).split()
    if before == "None":
        pytest.skip("this kernel has no groups of sessions")
    assert after == (str(LOWER) if leads else before)
