"""The split of users, by one look and looked at as often as one likes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from freshet.core.errors import InputError
from freshet.experiments.stats.sample_ratio import ALARM, WEIGHT, sample_ratio, split_p


def test_one_look_is_the_ratio_of_two_likelihoods() -> None:
    shares, users = (0.2, 0.3, 0.5), [30, 25, 60]
    meant = stats.multinomial(sum(users), shares).pmf(users)
    mixed = stats.dirichlet_multinomial(WEIGHT * np.array(shares), sum(users)).pmf(users)
    assert split_p([users], shares)[0] == pytest.approx(min(1, meant / mixed))


def test_looking_every_day_gives_few_false_alarms() -> None:
    """Of 5000 sound experiments with 28 looks; a plain test of every day alarms far more often."""
    rng, alpha = np.random.default_rng(1), 0.05
    new = rng.binomial(40, 0.5, (5000, 28))
    arm = new.cumsum(axis=1)
    total = 40 * np.arange(1, 29)
    alarms = np.mean([split_p(np.stack([one, total - one], 1), (1, 1))[-1] < alpha for one in arm])
    z = (arm - total / 2) / np.sqrt(total / 4)
    plain = np.mean((stats.chi2.sf(z**2, 1) < alpha).any(axis=1))
    assert alarms < alpha
    assert plain > 3 * alpha


def test_an_arm_that_loses_users_is_found() -> None:
    days = np.arange(1, 29)
    crashed = np.stack([50 * days, 0 * days], 1)
    assert split_p(crashed, (0.5, 0.5))[1] < ALARM  # on the second day, of 100 users
    lossy = np.stack([1000 * days, 900 * days], 1)
    found = split_p(lossy, (0.5, 0.5))
    assert (np.diff(found) <= 0).all()
    assert found[-1] < ALARM
    assert sample_ratio(lossy[-1].tolist(), (0.5, 0.5)).alarm


def test_shares_are_relative_and_what_was_found_stays() -> None:
    users = [[90, 10], [500, 500]]
    assert split_p(users, (1, 1)).tolist() == pytest.approx(split_p(users, (0.5, 0.5)).tolist())
    first, second = split_p(users, (1, 1))
    assert first == second < ALARM
    assert split_p([[0, 0]], (1, 1)).tolist() == [1.0]
    assert math.isclose(split_p([[300, 100]], (3, 1))[0], 1.0)


def test_a_count_without_a_share_is_refused() -> None:
    with pytest.raises(InputError, match="counts of 2 arms"):
        split_p([[1, 2]], (1, 1, 1))
    with pytest.raises(InputError, match="Give one positive share"):
        split_p([[1, 2]], (1, 0))


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=5))
def test_sample_ratio_is_the_chi_square_test(users: list[int]) -> None:
    shares = [1.0 + i for i in range(len(users))]
    found = sample_ratio(users, shares)
    expected = np.array(shares) / sum(shares) * sum(users)
    assert found.p == pytest.approx(stats.chisquare(users, expected).pvalue, abs=1e-12)
    assert found.expected == pytest.approx(expected)


def test_a_split_that_is_off_by_little_on_much_traffic_alarms() -> None:
    assert not sample_ratio([50_200, 49_800], [50, 50]).alarm
    assert sample_ratio([502_000, 498_000], [50, 50]).alarm
    assert not sample_ratio([0, 0], [50, 50]).alarm


@pytest.mark.parametrize("shares", [[50], [50, 0], [50, -1]])
def test_shares_that_can_not_be_are_refused(shares: list[float]) -> None:
    with pytest.raises(InputError, match="sample ratio"):
        sample_ratio([10, 10], shares)
