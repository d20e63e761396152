"""The benchmark of gates runs, and planners that know nothing fail in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "gates.py"


def test_planners_that_know_nothing_fail() -> None:
    command = [sys.executable, str(BENCHMARK), "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sample"] > 0
    assert len(found["planners"]) == 6
    for name, gates in found["planners"].items():
        assert not gates["gain_over_popularity"]["passed"], name
        assert not gates["gain_over_counts"]["passed"], name
