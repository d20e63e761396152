"""Intervals by resampling users: right in coverage, exactly paired, blind to the order of rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.replay.figures.intervals import Resampled, estimate, ratio, reflected


def test_weights_of_a_resample_sum_to_the_users() -> None:
    drawn = Resampled(np.arange(50), 50, draws=20, seed=1).totals(np.ones((50, 1)))
    assert (drawn == 50).all()


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """300 worlds, users of very different activity and taste; 95 % +- 3.5 points is about three standard errors."""
    rng = np.random.default_rng(0)
    held = 0
    for world in range(300):
        rows_each = rng.geometric(0.2, 150)
        chance = np.clip(0.3 + rng.normal(0, 0.1, 150), 0, 1)
        starts = np.r_[0, np.cumsum(rows_each)[:-1]]
        rows = int(rows_each.sum())
        hit = rng.random(rows) < np.repeat(chance, rows_each)
        total = Resampled(starts, rows, draws=300, seed=world).totals(np.stack([hit, np.ones(rows)], axis=1))
        low, high = estimate(ratio(total[:, 0], total[:, 1]))["ci95"]
        held += low <= 0.3 <= high
    assert 0.915 <= held / 300 <= 0.985


def test_intervals_that_took_rows_for_independent_would_be_too_narrow() -> None:
    """One row repeated ten times by each person carries no more than one."""
    rng = np.random.default_rng(0)
    once = rng.random(200) < 0.4
    single = Resampled(np.arange(200), 200, draws=500, seed=3).totals(once[:, None]) / 200
    tenfold = (
        Resampled(np.arange(0, 2000, 10), 2000, draws=500, seed=3).totals(np.repeat(once, 10)[:, None]) / 2000
    )
    assert estimate(single[:, 0]) == estimate(tenfold[:, 0])


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_groups_add_up_to_the_whole(rows_each: list[int], seed: int) -> None:
    rows = sum(rows_each)
    rng = np.random.default_rng(seed)
    values, group = rng.integers(10, size=rows), rng.integers(4, size=rows)
    resampled = Resampled(np.r_[0, np.cumsum(rows_each)[:-1]], rows, draws=10, seed=seed)
    whole = resampled.totals(values[:, None])[:, 0]
    assert np.array_equal(resampled.by_group(values, group, 4).sum(axis=1), whole)


def test_group_minus_one_is_none() -> None:
    resampled = Resampled(np.arange(3), 3, draws=2, seed=0)
    assert resampled.by_group(np.ones(3), np.array([-1, 0, 1]), 2)[0].tolist() == [1, 1]


def test_nothing_measured_is_told_as_none() -> None:
    nothing = ratio(np.zeros(5), np.zeros(5))
    assert estimate(nothing) == {"value": None, "ci95": None}


def test_the_basic_interval_turns_the_distances_around() -> None:
    drawn = np.r_[0.5, np.linspace(0.3, 0.4, 101)]
    low, high = reflected(drawn)["ci95"]
    assert 0.5 < low < high
