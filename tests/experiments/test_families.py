"""Several metrics at once; users split as meant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from freshet.core.errors import InputError
from freshet.experiments.stats.families import holm, sample_ratio

P = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.01, np.nan, 0.5]), [0.02, np.nan, 0.5])
    assert holm([]).tolist() == []


@given(P)
def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni(p: list[float]) -> None:
    found, plain = holm(p), np.array(p)
    assert (found >= plain).all()
    assert (found <= np.minimum(1, plain * len(p)) + 1e-12).all()
    assert (np.diff(found[np.argsort(plain, kind="stable")]) >= 0).all()


@given(P, st.data())
def test_holm_is_monotone(p: list[float], data: st.DataObject) -> None:
    """A smaller p anywhere makes no adjusted p larger."""
    place, factor = data.draw(st.integers(0, len(p) - 1)), data.draw(st.floats(0, 1))
    less = [value * factor if i == place else value for i, value in enumerate(p)]
    assert (holm(less) <= holm(p) + 1e-12).all()


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
