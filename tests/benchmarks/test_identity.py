"""benchmarks/identity.py: two versions that count otherwise are told apart, and where is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from identity_files import differences, normalise

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_another_half_life_is_found(tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(ROOT / "src", changed / "src", ignore=shutil.ignore_patterns("__pycache__"))
    decaying = [path for path in changed.rglob("*.py") if "0.5 **" in path.read_text(encoding="utf-8")]
    assert decaying
    for path in decaying:
        path.write_text(path.read_text(encoding="utf-8").replace("0.5 **", "0.49 **"), encoding="utf-8")
    call = [ROOT / "benchmarks" / "identity.py", "--quick", "--json", "--before", ROOT, "--after", changed]
    done = subprocess.run(
        [sys.executable, *map(str, call)], capture_output=True, text=True, check=False, timeout=1200
    )
    assert done.returncode == 1, done.stderr[-3000:]
    found = json.loads(done.stdout)["differences"]
    assert any(name.startswith("shop/tables/") and name.endswith("count.npy") for name in found)
    assert any(name.startswith("answers/") and name.endswith("-explain.json") for name in found)
    assert not any(name.startswith(("shop/events/date=2024-01", "shop/interests/")) for name in found)


def run(pace: float, peak: float) -> dict[str, Any]:
    return {"started": "2024-05-01", "steps": [{"name": "table", "rows": pace, "peak_mb": peak}]}


def test_only_what_is_listed_is_left_out(tmp_path: Path) -> None:
    for name, value, peak in (("a", 3, 100.5), ("b", 3, 99.0), ("c", 4, 100.5)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(run(value, peak), indent=1))
        np.save(folder / "scores.npy", np.arange(value, dtype=np.float64))
        normalise(folder, tmp_path / f"{name}-kept")
    kept = [tmp_path / f"{name}-kept" for name in "abc"]
    assert differences(kept[0], kept[1]) == {}
    found = differences(kept[0], kept[2])
    assert set(found) == {"run.json", "scores.npy"}
    assert found["run.json"] == ['line 6: "rows": 3, | "rows": 4,']
    assert found["scores.npy"] == ["float64[3] | float64[4]"]
    (kept[1] / "scores.npy").unlink()
    assert differences(kept[0], kept[1]) == {"scores.npy": ["only before"]}
    np.save(kept[1] / "scores.npy", np.array([0.0, 1.0, np.nextafter(2.0, 3.0)]))
    [how] = differences(kept[0], kept[1])["scores.npy"]
    assert how == "[2] (1 differ): 2.0 | 2.0000000000000004"


def test_how_much_is_left_out_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text('{"started": "2024", "rows": 3}')
    tally = normalise(tmp_path / "a", tmp_path / "b").document()
    assert (tally["files"], tally["bytes"], tally["ignored"]) == (1, 30, 6)
    assert (tmp_path / "b" / "run.json").read_text() == '{"started": <ignored>, "rows": 3}'
