"""benchmarks/statistics.py: that its worlds are what it says they are, and that it would notice."""

from __future__ import annotations

import importlib.util
import statistics
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from freshet.experiments import Moments

PATH = Path(__file__).parents[2] / "benchmarks" / "statistics.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    loaded("rare", PATH.with_name("rare.py"))  # which the other imports
    return loaded("benchmark_of_statistics", PATH)


def loaded(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # dataclasses look themselves up there
    spec.loader.exec_module(found)
    return found


def test_theory_is_that_of_the_users(bench: ModuleType) -> None:
    theory = bench.theory_of(1, n=50_000)
    rows = bench.visitors(np.random.default_rng(2), 400_000, np.zeros(400_000))
    correlation = np.corrcoef(rows[:, 0], rows[:, 2])[0, 1]
    assert theory["mean"] == pytest.approx(100 * (1 - correlation**2), abs=3)
    assert 40 < theory["ratio"] < 80


def test_the_lift_is_the_truth_of_both_metrics(bench: ModuleType) -> None:
    rng = np.random.default_rng(3)
    control, treatment = (
        bench.visitors(rng, 400_000, np.full(400_000, lift)).mean(axis=0) for lift in (0, 0.1)
    )
    assert treatment[0] / control[0] == pytest.approx(1.1, abs=0.015)
    assert (treatment[0] / treatment[1]) / (control[0] / control[1]) == pytest.approx(1.1, abs=0.005)


def test_small_runs_give_all_figures(bench: ModuleType) -> None:
    looked = bench.daily(20, 300, 4)
    assert {*looked} == {"mean", "ratio", "mean adjusted"}
    assert looked["mean"]["peeking"][0] >= looked["mean"]["last_day"][0]
    found, alarms = bench.one_look(30, 400, 0.1, 5)
    assert {*found} == {"mean", "mean adjusted", "ratio", "ratio adjusted"}
    assert bench.share(bench.held(found["ratio"], 0.1))[0] > 60
    assert not alarms.all()
    scarce = bench.rare(2, 7)
    assert {len(hits) for kept in scarce.values() for hits in kept.values()} == {2}
    assert {"ips", "doubly_robust", "naive"} <= {*bench.bandits(5, 6)}


def test_many_tests_at_once_are_as_one_by_one(bench: ModuleType) -> None:
    *_, day = bench.cumulated(np.random.default_rng(7), 3, 200)
    arm = np.random.default_rng(8).integers(0, 2, (3, 200))
    for metric in ("mean", "ratio"):
        values = bench.columns(day, metric)
        found, wanted = (way(values, day[2] > 0, arm) for way in (bench.relative, bench.one_by_one))
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_shares_come_with_wilsons_interval(bench: ModuleType) -> None:
    assert bench.share(np.arange(100) < 5) == pytest.approx([5.0, 2.15, 11.18], abs=0.01)
    assert bench.furthest({"a": [4.0], "b": [5.2]}, 5.0) == 4.0


def test_it_does_not_hide_pythons_own_module_from_scripts_beside_it(bench: ModuleType) -> None:
    assert bench.median([3, 1, 2]) == statistics.median([3, 1, 2])
    with pytest.raises(AttributeError):
        bench.no_such_thing  # noqa: B018


def test_assigned_users_are_split_in_half(bench: ModuleType) -> None:
    arm = bench.assigned(np.random.default_rng(9), 1, 20_000)
    assert Moments.of(arm.astype(float)).mean[0] == pytest.approx(0.5, abs=0.02)
