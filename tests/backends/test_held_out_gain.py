"""Gains on held-out rows are compared with their noise, which is that of users, not of rows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from freshet.backends.held_out_gain import HeldOutChecks, gain

USER = np.repeat(np.arange(40), 5)


def test_the_noise_is_what_other_users_would_have_moved_the_gain_by() -> None:
    """Rows of one user are alike here: over many draws of users the gain spreads as one draw says."""
    random = np.random.default_rng(0)

    def drawn(users: int) -> tuple[float, float]:
        rows = random.integers(1, 9, users)
        user = np.repeat(np.arange(users), rows)
        difference = np.repeat(random.normal(0.1, 1.0, users), rows) + random.normal(0, 0.1, len(user))
        return gain(difference, np.zeros(len(user)), user)

    found = np.array([drawn(60) for _ in range(600)])
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.15)
    by_row = 1.0 / np.sqrt(4.5 * 60)  # what it would be, were rows independent
    assert found[:, 1].mean() > 1.5 * by_row


def test_numbers_of_users_and_the_order_of_rows_do_not_matter() -> None:
    random = np.random.default_rng(1)
    before, now = random.random((2, len(USER)))
    order = random.permutation(len(USER))
    np.testing.assert_allclose(
        gain(before, now, USER), gain(before[order], now[order], USER[order].astype(np.uint64) * 2**50)
    )


def test_a_log_of_one_person_is_judged_by_its_rows() -> None:
    """Else no gain of such a training were ever one, and it ended at once."""
    user = np.zeros(5, np.int64)
    assert gain(np.ones(5), np.zeros(5), user) == (1.0, 0.0)
    before = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    by_row = before.std(ddof=1) / np.sqrt(5)
    assert gain(before, np.zeros(5), user) == pytest.approx((3.0, by_row))
    assert gain(np.ones(1), np.zeros(1), user[:1]) == (1.0, 0.0)
    checks = HeldOutChecks(user, patience=2)
    for level in (4.0, 3.9, 3.8, 3.7, 3.6):
        checks.better(np.full(5, level))
        assert not checks.enough


def test_slow_gains_add_up_until_they_are_more_than_noise() -> None:
    random = np.random.default_rng(2)
    seen = [4.0 - 0.003 * check + random.normal(0, 0.05, len(USER)) for check in range(13)]
    alone = [gain(before, now, USER) for before, now in pairwise(seen)]
    assert np.mean([gained < noise for gained, noise in alone]) > 0.5  # most are nothing by themselves
    checks = HeldOutChecks(USER, patience=4)
    for nll in seen:
        checks.better(nll)
        assert not checks.enough
    assert checks.checks == 13


def test_gains_that_are_no_more_than_noise_end_it_and_the_best_is_told() -> None:
    random = np.random.default_rng(3)
    checks = HeldOutChecks(USER, patience=2)
    level = np.full(len(USER), 4.0)
    assert checks.better(level)
    lucky = level - 0.001 + np.repeat(random.permutation(np.linspace(-0.5, 0.5, 40)), 5)
    assert checks.better(lucky)  # better by a thousandth, which chance does to these users
    assert not checks.enough
    assert not checks.better(level)
    assert checks.enough
    assert checks.best == pytest.approx(3.999)
    assert checks.noise == 0.0  # of the last check, which is the first again


def test_a_gain_too_small_to_matter_is_none_however_sure() -> None:
    checks = HeldOutChecks(USER, patience=1)
    checks.better(np.full(len(USER), 4.0))
    assert checks.better(np.full(len(USER), 4.0 - 5e-5))
    assert checks.enough
