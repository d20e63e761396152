"""`freshet run` follows the configured cadence policy, and says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freshet import pipeline
from freshet.core.types import AsOf
from freshet.pipeline import snapshot_of
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.schedule import CostAware
from freshet.stages.schedule import step as cadence
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FIRST, NOW, SECOND, copied, settings


def schedule(world: Path, text: str) -> str:
    return settings(world, extra=f"[schedule]\n{text}\n")


@pytest.mark.parametrize(
    ("text", "refreshes"),
    [
        ("refresh_days = 7", True),
        ("refresh_days = 8", False),
        ('policy = "drift"', None),
        ('policy = "cost"\nvalue_per_hit = 100.0', None),  # what age costs is chance with so few people
        ('policy = "cost"\nvalue_per_hit = 1e-9', False),
        ('policy = "combined"', None),
        ('policy = "combined"\nvalue_per_hit = 1e-9', False),  # no change is worth a refresh
    ],
)
def test_a_run_does_as_its_policy_says(
    world: Path, counted: Workspace, tmp_path: Path, text: str, refreshes: bool | None
) -> None:
    ws = copied(counted, tmp_path / "ws", schedule(world, text))
    pipeline.refresh(ws, FIRST, publish=True)
    record = pipeline.run(ws, NOW, SECOND, publish=True)
    (step,) = [step for step in record.steps if step.name == "cadence"]
    assert {"policy", "refresh", "statistic", "threshold", "why"} <= set(step.details)
    assert step.details["refresh"] is (step.details["refresh"] if refreshes is None else refreshes)
    assert (record.release == 2) == step.details["refresh"]
    if "cost" in text:
        assert step.details["refresh"] == (step.details["statistic"] >= step.details["threshold"])


def test_staleness_is_judged_by_the_counts_in_use_then(counted: Workspace, tmp_path: Path) -> None:
    ws = copied(counted, tmp_path / "ws")
    with ws.run("look") as run:
        counting = CountFitter(snapshot_of(ws, run, SECOND), 2, 5000, 3)
    judged = cadence.staleness_of(counting, [FIRST, AsOf.parse("2024-02-16")])
    assert len(judged)
    assert judged.age.min() == 0
    assert judged.age.max() == 3  # the first table served from the 12th to the 16th, the second to the 19th
    young = judged.age == 0
    assert np.array_equal(judged.stale_hit[young], judged.fresh_hit[young])
    assert not np.allclose(judged.stale_nll[~young], judged.fresh_nll[~young])


def test_cost_is_that_of_the_last_refreshes(counted: Workspace) -> None:
    (record,) = [r for r in counted.ledger.records() if r.command == "refresh"]
    paid = sum(step.money for step in record.steps if step.name in cadence.STEPS)
    assert cadence.expected_cost(counted.ledger.records()) == pytest.approx(paid)
    assert cadence.expected_cost([]) == 0.0


def test_signs_hold_nothing_of_the_day_or_later(counted: Workspace, tmp_path: Path) -> None:
    ws = copied(counted, tmp_path / "ws")
    with ws.run("look") as run:
        counting = CountFitter(snapshot_of(ws, run, SECOND), 2, 5000, 3)
    signs = cadence.see(CostAware(1.0), counting, [FIRST], 2.0)
    assert signs.age == 7
    assert signs.cost == 2.0
    assert signs.staleness.day.max() < signs.day
    assert signs.traffic > 0
