"""One writer at a time, and a dead one does not block the living."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from freshet.errors import Busy
from freshet.workspace.lease import is_held, lease

CONTENDER = """
import sys, time
from pathlib import Path
from freshet.errors import Busy
from freshet.workspace.lease import lease
path, log, start = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
time.sleep(max(0, start - time.time()))
try:
    with lease(path):
        with log.open("a") as file:
            file.write("in\\n")
        time.sleep(0.3)
        with log.open("a") as file:
            file.write("out\\n")
except Busy:
    pass
"""


def holder(**changes: object) -> dict[str, object]:
    """A lease of this very process."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "expires": time.time() + 100,
        **changes,
    }


def test_a_second_holder_is_told_who_writes_and_a_third_comes_after(tmp_path: Path) -> None:
    path = tmp_path / "LEASE"
    with lease(path):
        assert is_held(path)
        with pytest.raises(Busy, match=f"run {os.getpid()} on {socket.gethostname()}") as told, lease(path):
            pass
        assert told.value.retryable
        assert is_held(path)  # the refused one took nothing away
    assert not path.exists()
    assert not is_held(path)
    with lease(path):
        assert is_held(path)


def test_an_error_gives_the_lease_back(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), lease(tmp_path / "LEASE"):
        raise KeyboardInterrupt
    assert not (tmp_path / "LEASE").exists()


def dead() -> int:
    """Pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    "changes",
    [
        {"pid": None},  # replaced by a dead one below
        {"started": 1.0},  # the pid was given to another process since
        {"host": "elsewhere", "expires": 1.0},
    ],
)
def test_a_stale_lease_is_taken_over(tmp_path: Path, changes: dict[str, object]) -> None:
    if changes.get("pid", 0) is None:
        changes = {"pid": dead()}
    path = tmp_path / "LEASE"
    path.write_text(json.dumps(holder(**changes)))
    with lease(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("damaged", ["", "{", "[1]"])
def test_a_damaged_lease_is_taken_over(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "LEASE").write_text(damaged)
    with lease(tmp_path / "LEASE"):
        assert is_held(tmp_path / "LEASE")


def test_a_long_run_keeps_its_lease_past_the_expiry(tmp_path: Path) -> None:
    path = tmp_path / "LEASE"
    with lease(path, seconds=-1):
        assert is_held(path)
        with pytest.raises(Busy), lease(path):
            pass


def test_a_lease_of_another_machine_holds_until_it_expires(tmp_path: Path) -> None:
    path = tmp_path / "LEASE"
    path.write_text(json.dumps(holder(host="elsewhere", pid=1)))
    with pytest.raises(Busy), lease(path):
        pass
    assert json.loads(path.read_text())["host"] == "elsewhere"


def test_a_lease_that_was_taken_over_is_not_deleted_by_its_former_owner(tmp_path: Path) -> None:
    path = tmp_path / "LEASE"
    with lease(path):
        other = holder(pid=1, host="elsewhere")
        path.write_text(json.dumps(other))
    assert json.loads(path.read_text()) == other


@pytest.mark.slow
def test_of_many_that_find_a_stale_lease_one_at_a_time_holds_it(tmp_path: Path) -> None:
    path, log = tmp_path / "LEASE", tmp_path / "log"
    path.write_text(json.dumps(holder(pid=dead())))
    start = str(time.time() + 1.5)
    args = [sys.executable, "-c", CONTENDER, str(path), str(log), start]
    for process in [subprocess.Popen(args) for _ in range(4)]:
        assert process.wait() == 0
    said = log.read_text().split()
    assert said == ["in", "out"] * (len(said) // 2)  # never two at once
    assert said
