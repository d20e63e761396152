"""The benchmark that tries to beat counts runs on a replay, and finds the arm that it repeats."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.steps.world import settings, workspace

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "one_line.py"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)


@pytest.mark.slow
def test_popularity_at_fixed_half_lives_beside_counts(world: Path, tmp_path: Path) -> None:
    ws = workspace(tmp_path / "ws", settings(world, "counts"))
    refused = run(BENCHMARK, "--workspace", ws.root)
    assert refused.returncode == 1
    assert "freshet replay" in refused.stderr
    period = ("--from", "2024-02-05", "--to", "2024-02-15", "--every", "2d")
    replayed = run("-m", "freshet", "replay", "-w", ws.root, "--arms", "counts,popularity", *period, "--json")
    assert replayed.returncode == 0, replayed.stderr
    done = run(BENCHMARK, "--workspace", ws.root, "--half-lives", "7,28", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    arms = json.loads(replayed.stdout)["arms"]
    assert found["counts"] == pytest.approx(100 * arms["counts"]["hit_at_5"]["value"])
    assert set(found["popularity"]) == {"7", "28"}
    for one in found["popularity"].values():
        value, low, high = one["points"]
        assert value == pytest.approx(one["hit_at_5"] - found["counts"])
        assert low < value < high
