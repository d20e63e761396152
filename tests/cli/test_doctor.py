"""The doctor and the second writer, as a person at the command line meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import answered, called, freshet

HOLDER = """
import sys
from pathlib import Path
from freshet.storage.lease import lease
with lease(Path(sys.argv[1]), "run"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_healthy_workspace_exits_with_0_and_a_damaged_one_with_7(copy: Path) -> None:
    assert answered("doctor", "-w", copy)["healthy"] is True
    release = json.loads((copy / "releases" / "2.json").read_text())
    path = copy / "tables" / release["table"] / "fused.npy"
    path.write_bytes(path.read_bytes()[:-8])
    found = answered("doctor", "-w", copy, code=7)
    assert {one["what"] for one in found["findings"]} == {"damaged tables", "nothing serves"}
    assert not any(one["repaired"] for one in found["findings"])
    assert path.exists()
    told = called("doctor", "-w", copy)
    assert "nothing was touched" in told.stdout
    assert "fused.npy is damaged" in told.stdout
    problem = answered("explain", "-w", copy, "1", code=2)["error"]
    assert str(path) in problem["message"]
    assert "freshet doctor" in problem["hint"]
    mended = answered("doctor", "-w", copy, "--repair")
    assert all(one["repaired"] for one in mended["findings"])
    assert answered("status", "-w", copy)["release"]["number"] == 1
    again = answered("refresh", "-w", copy, "--publish")["run"]
    assert again["release"] == 2  # the same table under its old number
    assert answered("doctor", "-w", copy)["findings"] == []


def test_a_second_writer_is_told_or_waits(copy: Path) -> None:
    args = [sys.executable, "-c", HOLDER, str(copy / "LEASE")]
    with subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        problem = answered("rollback", "-w", copy, code=5)["error"]
        assert f"process {holder.pid}" in problem["message"]
        assert "since" in problem["message"]
        assert problem["retryable"]
        waiting = subprocess.Popen(
            [sys.executable, "-m", "freshet", "rollback", "-w", str(copy), "--wait", "600"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert waiting.stderr is not None
        assert waiting.stderr.readline().startswith("waiting for `freshet run`")
        assert (copy / "CURRENT").read_text() == "2\n"
        holder.communicate("")
        waiting.communicate()
        assert waiting.returncode == 0
    assert (copy / "CURRENT").read_text() == "1\n"
    assert freshet("status", "-w", copy).returncode == 0
