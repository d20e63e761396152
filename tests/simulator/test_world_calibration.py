"""Calibration finds back what a world was made with, and says how far apart others are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from freshet.simulator import World
from freshet.simulator.slot import Habits
from freshet.simulator.world_calibration import Rates, calibrate, distance, simulated

pytestmark = pytest.mark.slow

WORLD = World(
    themes=20, items=60, users=250, days=134, trends=0.5, contrast=1.0, drift_size=0.8, turnover_days=20.0
)


@pytest.fixture(scope="module")
def worlds() -> dict[str, World]:
    return {
        "same": WORLD,
        "steady": replace(WORLD, drift_size=0.0, trends=0.0),
        "flat": replace(WORLD, contrast=0.1),
    }


def test_a_world_lies_nearest_to_itself_and_drift_is_told_from_none(worlds: dict[str, World]) -> None:
    log = simulated(replace(WORLD, seed=50), Habits(), 50.0, 20)
    assert log.support == pytest.approx(50, rel=0.1)
    found = {
        name: [simulated(replace(one, seed=seed), Habits(), log.support, 20) for seed in (51,)]
        for name, one in worlds.items()
    }
    away = {name: distance(log, one) for name, one in found.items()}
    assert away["same"] < away["steady"]
    assert away["same"] < away["flat"]
    steady = found["steady"][0]
    assert all(abs(kept - 1) < 2 * noise for kept, noise in zip(steady.kept, steady.noise, strict=True))
    assert min(log.kept) < 0.8
    assert log.popular[0] > steady.popular[0]


def test_a_balanced_world_is_searched_without_trends_and_not_by_how_far_popularity_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = replace(WORLD, balanced=True, trends=0.0)
    log = simulated(replace(world, seed=50), Habits(), 50.0, 10)
    moved = replace(log, popular=(0.9, 0.9, 0.9))
    assert distance(moved, [log]) > 1 > distance(moved, [log], balanced=True) == 0
    monkeypatch.setattr(
        "freshet.simulator.world_calibration.GRID", {"trends": (1.0, 2.0), "contrast": (0.2, 1.0)}
    )
    monkeypatch.setattr("freshet.simulator.world_calibration.ROUNDS", (("trends",), ("contrast",)))
    found = calibrate(moved, world, Habits(), (51,), permutations=5)
    assert (found.trends, found.contrast) == (0.0, 1.0)


def test_rates_go_into_a_world_and_come_back() -> None:
    rates = Rates(0.5, 0.7, 0.3, 12.0)
    assert Rates.of(rates.set(WORLD)) == rates
    assert rates.set(WORLD).themes == WORLD.themes
