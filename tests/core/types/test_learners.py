"""Shares of users: nested, of the size they say, and independent of other draws by the same number."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from freshet.core.types import Learners

USERS = np.random.default_rng(0).integers(0, 2**64, 50_000, dtype=np.uint64)


def test_a_smaller_share_is_within_a_larger_one() -> None:
    shares = [Learners(percent).kept(USERS) for percent in (1, 3, 10, 30, 100)]
    for smaller, larger in itertools.pairwise(shares):
        assert (smaller & ~larger).sum() == 0
        assert smaller.sum() < larger.sum()
    assert shares[-1].all()


@pytest.mark.parametrize("percent", [0.5, 3, 30])
def test_it_holds_about_as_many_as_it_says(percent: float) -> None:
    expected = len(USERS) * percent / 100
    assert abs(Learners(percent).kept(USERS).sum() - expected) < 5 * np.sqrt(expected)


def test_users_in_sequence_are_drawn_as_fairly() -> None:
    assert abs(Learners(10).kept(np.arange(50_000, dtype=np.uint64)).sum() - 5000) < 350


def test_it_is_independent_of_the_sample_that_is_judged() -> None:
    sample = USERS % 10_000 < 1_000  # how transitions are limited to a sample of users
    assert abs(Learners(10).kept(USERS[sample]).mean() - 0.1) < 0.02
