"""benchmarks/experiment_statistics.py: that its worlds are what it says they are, and that it would notice."""

from __future__ import annotations

import importlib.util
import sys
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from freshet.experiments.measurement.comparison import compare
from freshet.experiments.measurement.exposures import Exposures
from freshet.experiments.measurement.measure import Measurement
from freshet.experiments.stats.moments import Moments
from freshet.experiments.stats.tally import DayMoments, Users

PATH = Path(__file__).parents[2] / "benchmarks" / "experiment_statistics.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    for name in ("rare", "looks"):  # which the other imports
        loaded(name, PATH.with_name(f"{name}.py"))
    return loaded("experiment_statistics", PATH)


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


def test_daily_looks_are_those_of_a_report(bench: ModuleType) -> None:
    """The same moments through `compare`, whose intervals and p they must be."""
    looks = sys.modules["looks"]
    world = looks.World(1.0, "mean", 400, 0.2)
    seen = looks.seen(world, 12, 1.5, 3)["0.95"]
    for test, days in enumerate(looks.experiments(world, 12, 1.5, 3)):
        measured = loaded_measured(days)
        [found] = compare(measured)
        out = [not look.always[0] <= 0 <= look.always[1] for look in found.cumulative if look.always]
        assert [any(out), out[-1]] == seen[test].tolist()
    assert seen.any()
    assert not seen.all()


def test_the_worlds_are_what_they_say(bench: ModuleType) -> None:
    looks = sys.modules["looks"]
    rng = np.random.default_rng(1)
    treated = np.arange(400_000)[None] < 200_000
    for metric in ("mean", "ratio"):
        y, d = (x[0] for x in looks.people(rng, looks.World(1.0, metric, 400_000), treated, -0.5))
        arms = [y[treated[0] == one].sum() / d[treated[0] == one].sum() for one in (0, 1)]
        assert arms[1] / arms[0] == pytest.approx(0.5, abs=0.01)
        assert arms[0] == pytest.approx(1.0 if metric == "mean" else 0.45, rel=0.03)
    days = next(looks.experiments(looks.World(1.0, "mean", 4000, 0.1), 1, 0.0, 0))
    assert [sum(one.n for one in day) for day in (days[0], days[-1])] == [140, 4000]
    assert days[-1][1].n == pytest.approx(400, abs=80)


def loaded_measured(days: list[tuple[Moments, Moments]]) -> Measurement:
    spent = tuple(date(2024, 3, 1) + timedelta(days=day) for day in range(len(days)))
    users = sum(one.n for one in days[-1])
    arm = np.repeat(np.array([0, 1], np.int8), [one.n for one in days[-1]])
    known = Users(np.arange(users, dtype=np.uint64), arm, np.zeros(users, np.int64))
    rare = sys.modules["rare"]
    shown = Exposures(rare.EXPERIMENT, known, spent, (), 0, {})
    moments = {rare.METRIC.name: tuple(DayMoments(day, day) for day in days)}
    return Measurement(rare.EXPERIMENT, (rare.METRIC,), shown, spent, moments, {rare.METRIC.name: 0}, 0)


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


def test_assigned_users_are_split_in_half(bench: ModuleType) -> None:
    arm = bench.assigned(np.random.default_rng(9), 1, 20_000)
    assert Moments.of(arm.astype(float)).mean[0] == pytest.approx(0.5, abs=0.02)
