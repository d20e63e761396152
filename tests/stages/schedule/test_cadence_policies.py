"""The cost-aware policy where losses are known."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.types import Staleness
from freshet.stages.schedule import CostAware, Fixed
from freshet.stages.schedule.cadence_policies import loss_per_day_of_age
from tests.stages.schedule.worlds import planted, seen

ROWS = planted(0)
PER_DAY = 80


def judged(
    slope: float, day: int, refreshes: tuple[int, ...], jump: int | None = None, seed: int = 0
) -> Staleness:
    """Fresh counts always hit; the table in use misses with a chance of slope times its age (0.5 after a jump)."""
    rng = np.random.default_rng(seed)
    days = np.repeat(np.arange(refreshes[0], day), PER_DAY).astype(np.int32)
    made = np.array(refreshes)[np.searchsorted(refreshes, days, side="right") - 1]
    age = (days - made).astype(np.int32)
    miss = slope * age
    if jump is not None:
        miss = np.where((days >= jump) & (made < jump), 0.5, miss)
    stale = rng.random(len(days)) >= miss
    nats = np.zeros(len(days))
    return Staleness(np.arange(len(days), dtype=np.uint64), days, age, stale, np.ones_like(stale), nats, nats)


def refreshes(slope: float, cost: float, jump: int | None = None, days: int = 60) -> list[int]:
    policy, found = CostAware(hit_value=1.0), [0]
    for day in range(1, days):
        staleness = judged(slope, day, tuple(found), jump)
        if policy.decide(seen(ROWS, day, tuple(found), staleness, cost)).refresh:
            found.append(day)
    return found[1:]


@pytest.mark.parametrize("cost", [20.0, 80.0])
def test_steady_ageing_is_refreshed_at_the_best_interval(cost: float) -> None:
    """Losses of slope * age a day cost least with sqrt(2 * cost / (slope * traffic)) days between refreshes."""
    slope = 0.01
    best = np.sqrt(2 * cost / (slope * PER_DAY))
    gaps = np.diff([0, *refreshes(slope, cost)])
    assert len(gaps) >= 3
    assert best - 1.5 <= gaps.mean() <= best + 2


def test_a_table_that_does_not_age_is_never_refreshed() -> None:
    assert refreshes(0.0, 20.0) == []


def test_a_sudden_loss_is_answered_sooner_than_steady_ageing_would_be() -> None:
    (first, *_) = refreshes(0.0, 60.0, jump=40)
    assert 40 < first <= 44


def test_the_slope_is_learned_from_earlier_tables_too() -> None:
    made = (0, 10, 20)
    learned = loss_per_day_of_age(seen(ROWS, 22, made, judged(0.02, 22, made)))
    assert learned == pytest.approx(0.02, abs=0.004)


def test_a_young_table_says_nothing_and_a_decision_names_its_figures() -> None:
    staleness = judged(0.02, 11, (0, 10))
    young = CostAware(1.0).decide(seen(ROWS, 11, (0, 10), staleness))
    assert not young.refresh
    assert "nothing yet" in young.why
    old = CostAware(1.0).decide(seen(ROWS, 20, (0,), judged(0.02, 20, (0,)), 5.0))
    assert old.refresh
    assert old.statistic >= old.threshold
    assert "5 per refresh" in old.why


def test_fixed_is_due_by_age_alone() -> None:
    assert not Fixed(3).decide(seen(ROWS, 12, (10,))).refresh
    due = Fixed(3).decide(seen(ROWS, 13, (10,)))
    assert due.refresh
    assert (due.statistic, due.threshold) == (3.0, 3.0)
