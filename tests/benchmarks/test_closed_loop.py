"""benchmarks/closed_loop.py: worlds are lived through once, and pooled as the tables say."""

from __future__ import annotations

import importlib.util
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

from freshet.simulator.slot_impressions import ORACLES

PATH = Path(__file__).parents[2] / "benchmarks" / "closed_loop.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("closed_loop", PATH)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def effects(relative: float) -> dict[str, dict[str, Any]]:
    scales = ("per_user", "per_user_cuped", "per_impression")
    figures = ("satisfied", "negative", "expected", "expected_negative", "regret", "worth")
    return {one: {scale: {"relative": relative, "variance": 0.0004} for scale in scales} for one in figures}


def world(**worth: float) -> dict[str, Any]:
    """A world whose arms' worth is known; the first is the control."""
    arms = {}
    for name, one in worth.items():
        figures = ("satisfied", "negative", "expected", "expected_negative", "regret", "worth")
        arms[name] = {
            "users": 10,
            "impressions": 100,
            "per_impression": dict.fromkeys(figures, one),
            "interval": {figure: {"variance": 0.0001} for figure in figures},
        }
        if len(arms) > 1:
            arms[name] |= {"effect": effects(one / worth["static"] - 1), "effect_by_day": []}
        if len(arms) > 2:
            arms[name]["against"] = {"popularity": effects(one / worth["popularity"] - 1)}
    oracle = {"worth": 0.9, "interval": {"variance": 0.0001}}
    figures = {
        "simulated": "SIMULATED",
        "order": [*worth],
        "arms": arms,
        "oracles": dict.fromkeys(ORACLES, oracle),
        "trained": {"tuning": 1.5},
        "steps": {"tuning": {"forerunner": 200, "model": 300}},
        "stopped": ["tuning"],
    }
    return {"figures": figures, "minutes": 1.0, "cpu_minutes": 0.5, "peak_mb": 100.0}


def test_worlds_are_pooled_by_their_mean_with_intervals_by_users_and_over_worlds(bench: ModuleType) -> None:
    levels = np.array([0.6, 0.7, 0.8])
    worlds = [
        world(static=0.5, popularity=0.55 + 0.01 * place, hybrid=one) for place, one in enumerate(levels)
    ]
    found = bench.summary(worlds)
    level = found["hybrid"]["level"]["worth"]
    assert (level["mean"], level["least"], level["most"], level["worlds"]) == pytest.approx(
        (0.7, 0.6, 0.8, 3)
    )
    assert level["high"] - level["mean"] == pytest.approx(1.96 * np.sqrt(3 * 0.0001) / 3, rel=1e-3)
    half = student.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    assert level["high_over_worlds"] - level["mean"] == pytest.approx(half)
    effect = found["hybrid"]["effect"]["worth"]["per_impression"]
    assert effect["relative"] == pytest.approx(0.4)
    assert effect["high_over_worlds"] - effect["relative"] == pytest.approx(2 * half)
    assert found["hybrid"]["against"]["popularity"]["worth"]["per_user"]["relative"] == pytest.approx(
        np.mean(levels / np.array([0.55, 0.56, 0.57])) - 1
    )
    told = bench.table("gradual", found)
    assert "| `hybrid` | 30, 300 |" in told
    assert "70.0 [68.9, 71.1] [45.2, 94.8]" in told
    assert "tuning passes 1.5, 1.5, 1.5; steps 200 + 300, 200 + 300, 200 + 300; cut" in told
    assert "by the clock in 3 of 3" in told


def test_the_share_of_a_gain_that_popularity_has_too(bench: ModuleType) -> None:
    def share(*worlds: dict[str, Any]) -> dict[str, Any]:
        return dict(bench.summary(worlds)["hybrid"]["gain_by_popularity"])

    same = [world(static=0.5, popularity=0.5 + 0.75 * gain, hybrid=0.5 + gain) for gain in (0.18, 0.2, 0.22)]
    assert share(*same) == pytest.approx({"share": 0.75, "low_over_worlds": 0.75, "high_over_worlds": 0.75})
    apart = [world(static=0.5, popularity=0.5 + part, hybrid=0.7) for part in (0.05, 0.1, 0.15)]
    found = share(*apart)
    assert found["share"] == pytest.approx(0.5)
    half = student.ppf(0.975, 2) * 0.05 / np.sqrt(3) / 0.2
    assert found["high_over_worlds"] - 0.5 == pytest.approx(half)
    nothing = [world(static=0.5, popularity=0.5, hybrid=0.5 + gain) for gain in (-0.01, 0.0, 0.02)]
    assert share(*nothing) == {"share": None}
    assert share(same[0])["share"] == pytest.approx(0.75)


def test_a_world_that_can_not_be_lived_through_is_told_and_its_neighbours_are_kept(
    bench: ModuleType, tmp_path: Path
) -> None:
    options = Namespace(
        work=tmp_path, arms="static,best", days=2, users=10, refresh_days="1", planner="counts", keep=False
    )
    with pytest.raises(RuntimeError, match="failed, see"):
        bench.lived(options, "static", 1)
    assert "can't serve 'best'" in (tmp_path / "static-1.log").read_text()
    assert not (tmp_path / "static-1.json").exists()
