"""The drift-triggered policy on worlds in which it is known whether anything drifts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.types import Transitions
from freshet.stages.schedule import DriftTriggered
from freshet.stages.schedule.drift_policy import exceeding, left
from freshet.stages.schedule.drift_test import Surprise, balanced, windows
from tests.stages.schedule.worlds import planted, seen

POLICY = DriftTriggered(alpha=0.02, groups=3)


def looks(rows: Transitions, first: int, days: int) -> list[int]:
    """Days of the refreshes when the policy looks every morning."""
    refreshes = [first]
    for day in range(first + 1, days):
        if POLICY.decide(seen(rows, day, tuple(refreshes))).refresh:
            refreshes.append(day)
    return refreshes[1:]


def test_a_world_that_stands_still_is_hardly_ever_refreshed() -> None:
    found = [looks(planted(seed), 30, 50) for seed in range(2)]
    assert sum(map(len, found)) <= 3


def test_a_growing_log_is_no_drift() -> None:
    """Counts of more transitions predict better: without care every growing log would look changed."""
    found = [looks(planted(seed, growth=4.0), 30, 50) for seed in range(10, 12)]
    assert sum(map(len, found)) <= 3


@pytest.mark.parametrize("seed", range(2))
def test_an_abrupt_change_is_seen_within_two_days(seed: int) -> None:
    found = looks(planted(seed, change=45), 38, 48)
    assert any(45 < day <= 47 for day in found)


def test_the_decision_says_why_and_equal_signs_decide_equally() -> None:
    rows = planted(1, change=45)
    decision = POLICY.decide(seen(rows, 48, (30,)))
    assert decision.refresh
    assert decision.statistic <= decision.threshold == POLICY.alpha
    assert "differs from before" in decision.why
    assert POLICY.decide(seen(rows, 48, (30,))) == decision
    quiet = POLICY.decide(seen(rows, 40, (30,)))
    assert "no change beyond chance in 10 days" in quiet.why


def test_what_happens_on_the_day_itself_is_not_looked_at() -> None:
    rows = planted(2, change=45)
    assert POLICY.decide(seen(rows, 45, (30,))) == POLICY.decide(seen(planted(2), 45, (30,)))


def test_one_users_burst_is_not_taken_for_drift() -> None:
    """Rows of one person in a day agree; dealing rows instead of people's chunks would see a change."""
    rows = planted(3)
    burst = (rows.day >= 43) & (rows.day <= 44) & (np.arange(len(rows)) % 2 == 0)
    user, successor = rows.user.copy(), rows.successor.copy()
    user[burst], successor[burst] = 10_000, (rows.recent[burst, 1] + 1) % 12
    rows.known[np.flatnonzero(burst), successor[burst]] = False
    bursting = Transitions.on_days(user, rows.day, rows.recent, successor, rows.known)
    # one chunk of one person can come out at most once in 29: too often for a chance of 0.02, not for the default
    default = DriftTriggered(groups=3)
    assert not default.decide(seen(bursting, 45, (30,))).refresh
    many = user.copy()
    many[burst] = 10_000 + np.arange(burst.sum())
    people = Transitions.on_days(many, rows.day, rows.recent, successor, rows.known)
    assert default.decide(seen(people, 45, (30,))).refresh


def test_nothing_to_compare_is_no_finding() -> None:
    rows = planted(4)
    nobody = rows.take(rows.day > 1000)
    assert not POLICY.decide(seen(nobody, 50, (30,))).refresh
    assert not POLICY.decide(seen(rows, 30, (30,))).refresh


def test_standardised_surprise_has_no_bias_on_a_growing_static_log() -> None:
    z = []
    for seed in range(8):
        found = windows(planted(seed, growth=3.0), 40, 52, 4, 28, 3)
        surprise = Surprise(found)
        drawn = surprise.draws(60, np.random.default_rng(seed))
        z.append((surprise.observed - drawn.mean(axis=0)) / drawn.std(axis=0))
    assert np.abs(np.mean(z)) < 0.5
    assert 0.6 < np.std(z) < 1.5


def test_groups_hold_about_as_much() -> None:
    support = np.array([50, 40, 30, 20, 10, 5, 5])
    place = balanced(support, 3)
    assert np.bincount(place, support).tolist() == [55.0, 55.0, 50.0]


def test_the_rank_of_the_observed_row() -> None:
    values = np.array([[3.0, 0.0], [0.0, 1.0], [0.0, -1.0], [-1.0, 0.0]])
    assert exceeding(values) == 0.25
    assert exceeding(values[[1, 0, 2, 3]]) == 0.5


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.floats(1, 10), st.integers(1, 4))
def test_permits_bound_the_average(gaps: list[int], every: float, burst: int) -> None:
    """Whoever refreshes whenever a permit is there refreshes at most once in `every` days, and a burst more."""
    refreshes = [0]
    for day in np.cumsum(gaps).tolist():
        if left(tuple(refreshes), day, every, burst) >= 1:
            refreshes.append(day)
    assert len(refreshes) - 1 <= burst + refreshes[-1] / every
