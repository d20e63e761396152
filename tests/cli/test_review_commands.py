"""A run that a gate halted, what a person decides, and a run that was killed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import answered, called, freshet, rows

RUN = [sys.executable, "-m", "freshet", "run", "-w"]


def test_a_halted_first_run_has_published_counts_and_says_what_to_do(halted: Path) -> None:
    status = answered("status", "-w", halted)
    assert (status["release"]["number"], status["release"]["model"]) == (1, "")
    assert [(one["run"], one["kind"]) for one in status["waiting"]] == [("00001", "model")]
    shown = called("history", "1", "-w", halted).stdout
    assert "examples of what failed" in shown
    assert "what happened:" in shown


def test_reject_keeps_the_model_out(halted: Path, place: Path) -> None:
    root = Path(shutil.copytree(halted, place / "rejected"))
    assert answered("reject", "1", "-w", root, "--by", "Ada")["run"]["outcome"] == "rejected"
    assert answered("run", "-w", root, code=3)["error"]["type"] == "GateFailed"
    assert [path.name for path in (root / "releases").iterdir()] == ["1.json"]
    assert "only a waiting run" in answered("approve", "1", "-w", root, code=2)["error"]["message"]


@pytest.mark.slow
def test_a_killed_run_ends_with_the_table_of_an_uninterrupted_one(halted: Path, place: Path) -> None:
    whole = Path(shutil.copytree(halted, place / "whole"))
    approved = answered("approve", "1", "-w", whole, "--by", "Ada")["run"]
    assert (approved["outcome"], approved["reviewer"]) == ("approved", "Ada")

    code = 0
    for number in range(10):  # on a busy machine a run may be over before it is killed
        killed = Path(shutil.copytree(whole, place / f"killed {number}"))
        process = subprocess.Popen([*RUN, killed], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not list((killed / "work").glob("*.npz")):
            time.sleep(0.001)
        process.kill()
        code = process.wait()
        if code == -signal.SIGKILL and (killed / "CURRENT").read_text() == "1\n":
            break
    assert code == -signal.SIGKILL  # it was still at work
    assert (killed / "CURRENT").read_text() == "1\n"  # counts
    assert [run["outcome"] for run in answered("history", "-w", killed)["runs"]] == [
        "approved",
        "interrupted",
    ]

    steps = answered("run", "-w", killed, run=freshet)["run"]["steps"]
    (inference,) = [step["details"] for step in steps if step["name"] == "inference"]
    assert inference["resumed"] > 0
    done = answered("run", "-w", whole)
    assert (done["run"]["release"], done["releases"]) == (2, [2])
    table = json.loads((whole / "releases" / "2.json").read_text())["table"]
    assert json.loads((killed / "releases" / "2.json").read_text())["table"] == table
    assert rows(killed, table) == rows(whole, table)

    explained = answered("explain", "1", "2", "-w", whole)
    assert explained["prompt"].startswith("liked : ")
    assert len(explained["provenance"]["fingerprint"]) == 32
    assert explained["provenance"]["inferred_for"] == table
    assert all(one["planner"] is not None for one in explained["successors"])


def test_two_runs_cannot_write_at_once(halted: Path, place: Path) -> None:
    from freshet.storage.lease import lease

    root = Path(shutil.copytree(halted, place / "busy"))
    with lease(root / "LEASE"):
        problem = answered("run", "-w", root, code=5)["error"]
        assert problem["retryable"] is True
        assert answered("status", "-w", root)["running"] is True
    assert answered("status", "-w", root)["running"] is False
