"""The combined policy: by cost, with abrupt changes counted as losses once they are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.types import CadenceDecision, Signs, Staleness, Transitions
from freshet.stages.schedule import Combined, CostAware, policy
from freshet.stages.schedule.combined_policy import missing_hits
from freshet.stages.schedule.drift_policy import left
from tests.stages.schedule.worlds import planted, seen

POLICY = Combined(1.0, groups=3)
CHANGE = 45


def hits(
    day: int, refreshes: tuple[int, ...], change: int | None, per_day: int = 80, seed: int = 0
) -> Staleness:
    """What tables hit: 60 %, and 20 % from a change on until counts of two days after it are in.

    Fresh counts are no better than the table: what age costs is nothing at all.
    """
    rng = np.random.default_rng([seed, 3])
    days = np.repeat(np.arange(refreshes[0], day), per_day).astype(np.int32)
    made = np.array(refreshes)[np.searchsorted(refreshes, days, side="right") - 1]
    share = np.full(len(days), 0.6)
    if change is not None:
        share[(days >= change) & (made < change + 2)] = 0.2
    hit, nats = rng.random(len(days)) < share, np.zeros(len(days))
    return Staleness(
        np.arange(len(days), dtype=np.uint64), days, (days - made).astype(np.int32), hit, hit, nats, nats
    )


def signs(
    rows: Transitions, day: int, refreshes: tuple[int, ...], change: int | None, cost: float = 10.0
) -> Signs:
    return seen(rows, day, refreshes, hits(day, refreshes, change), cost)


def looks(rows: Transitions, first: int, days: int, change: int | None, cost: float = 10.0) -> list[int]:
    """Days of the refreshes when the policy looks every morning."""
    refreshes = [first]
    for day in range(first + 1, days):
        if POLICY.decide(signs(rows, day, tuple(refreshes), change, cost)).refresh:
            refreshes.append(day)
    return refreshes[1:]


@pytest.mark.parametrize("seed", range(2))
def test_a_jump_is_answered_within_two_days_where_cost_alone_sees_nothing(seed: int) -> None:
    rows = planted(seed, change=CHANGE)
    found = looks(rows, 38, 52, CHANGE)
    assert CHANGE < found[0] <= CHANGE + 2
    blind = [CostAware(1.0).decide(signs(rows, day, (38,), CHANGE)).refresh for day in range(39, 52)]
    assert not any(blind)


def test_an_answered_jump_is_not_answered_again_and_again() -> None:
    """The old days are still in the reference, so the test finds the change for a month."""
    found = looks(planted(0, change=CHANGE), 38, 58, CHANGE)
    assert len(found) <= 3


def test_a_world_that_stands_still_is_hardly_ever_refreshed() -> None:
    assert sum(len(looks(planted(seed), 30, 50, None)) for seed in range(2)) <= 1


def test_a_refresh_that_costs_more_than_the_jump_waits() -> None:
    rows = planted(0, change=CHANGE)
    dear = POLICY.decide(signs(rows, CHANGE + 1, (38,), CHANGE, cost=1000.0))
    assert not dear.refresh
    assert dear.statistic < dear.threshold
    assert "differs from before" in dear.why
    assert not replace(POLICY, hit_value=1e-6).decide(signs(rows, CHANGE + 1, (38,), CHANGE)).refresh


def test_ageing_is_answered_as_by_the_cost_policy() -> None:
    ageing = hits(50, (30,), None)
    ageing = replace(ageing, fresh_hit=np.ones_like(ageing.stale_hit))
    found = seen(planted(0), 50, (30,), ageing, 5.0)
    assert CostAware(1.0).decide(found).refresh
    assert POLICY.decide(found) == CostAware(1.0).decide(found)


def test_a_decision_says_what_was_found_and_what_it_costs() -> None:
    found = POLICY.decide(signs(planted(0, change=CHANGE), CHANGE + 1, (38,), CHANGE))
    assert found.refresh
    assert found.statistic >= found.threshold
    assert "differs from before" in found.why
    assert "10 per refresh" in found.why
    quiet = POLICY.decide(signs(planted(0), 40, (38,), None))
    assert "no abrupt change beyond chance" in quiet.why
    often = POLICY.decide(signs(planted(0), 42, (30, 38, 39, 40, 41), None))
    assert "no test after so many refreshes" in often.why


def test_nothing_of_the_day_or_later_is_looked_at() -> None:
    rows = planted(2, change=CHANGE)
    today = CHANGE + 1
    past = signs(rows, today, (38,), CHANGE)
    later = replace(past, transitions=rows, staleness=hits(60, (38,), CHANGE))
    assert decided(later) == decided(past)


def decided(found: Signs) -> CadenceDecision:
    first, again = POLICY.decide(found), POLICY.decide(found)
    assert first == again
    return first


@pytest.mark.parametrize("change", [None, CHANGE])
def test_it_does_not_matter_who_is_who(change: int | None) -> None:
    """Draws differ with the names of users, which can matter at the very threshold alone."""
    found = signs(planted(0, change=change), CHANGE + 2, (38,), change)
    other = np.random.default_rng(4).permutation(300).astype(np.uint64)
    rows = found.transitions
    named = Transitions.on_days(other[rows.user], rows.day, rows.recent, rows.successor, rows.known)
    renamed = replace(found, transitions=named)
    one, two = POLICY.decide(found), POLICY.decide(renamed)
    assert one.refresh == two.refresh == (change is not None)
    assert (one.statistic, one.threshold) == (two.statistic, two.threshold)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.floats(0.001, 200))
def test_refreshes_for_findings_are_bounded(seed: int, every: int, cost: float) -> None:
    """However often hits fall: a finding needs a permit, and so many come back. What is free needs no reason."""
    rng = np.random.default_rng(seed)
    always = replace(POLICY, alpha=1.0, every=float(every))
    rows, refreshes = planted(seed % 3, days=60).take(np.zeros(0, np.int64)), [40]
    for day in range(41, 60):
        staleness = hits(day, tuple(refreshes), None, per_day=10)
        fell = np.where(rng.random(len(staleness)) < 0.5, staleness.stale_hit, False)
        worse = replace(staleness, stale_hit=fell, fresh_hit=fell)
        looked = seen(rows, day, tuple(refreshes), worse, cost)
        if always.decide(replace(looked, traffic=80.0)).refresh:
            assert left(tuple(refreshes), day, float(every), 2) > 0.999
            refreshes.append(day)
    assert len(refreshes) - 1 <= 2 + 19 / every


def test_hits_that_were_missing_before_the_last_refresh_are_answered() -> None:
    rows = planted(0)
    day, change = CHANGE + 2, CHANGE - 2
    before = signs(rows, day, (30,), change)
    after = signs(rows, day, (30, CHANGE), change)  # refreshed two days into the change, to little avail
    low = replace(after, staleness=replace(after.staleness, stale_hit=before.staleness.stale_hit))
    assert missing_hits(before, 1, 2) > 0.3
    assert missing_hits(low, 1, 2) < 0.2
    assert missing_hits(replace(before, staleness=Staleness.none()), 1, 2) == 0.0


def test_the_configured_policy_finds_as_much_by_chance_as_drift() -> None:
    made = policy("combined", 3, 0.004, 2.0)
    assert made == Combined(2.0, alpha=0.01)
    assert policy("combined", 3, 0.9, 2.0) == Combined(2.0, alpha=1.0)
