"""Moments add up, and keep their digits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freshet.experiments.stats.effects import effect
from freshet.experiments.stats.moments import Moments

VALUES = arrays(np.float64, st.tuples(st.integers(0, 6), st.just(3)), elements=st.floats(-1e3, 1e3))


def same(first: Moments, second: Moments) -> None:
    assert first.n == second.n
    np.testing.assert_allclose(first.mean, second.mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(first.scatter, second.scatter, rtol=1e-9, atol=1e-6)


@given(VALUES, VALUES, VALUES)
def test_moments_of_parts_add_up_in_any_grouping_and_order(
    a: np.ndarray, b: np.ndarray, c: np.ndarray
) -> None:
    x, y, z = Moments.of(a), Moments.of(b), Moments.of(c)
    whole = Moments.of(np.concatenate([a, b, c]))
    same((x + y) + z, whole)
    same(x + (y + z), whole)
    same(z + (y + x), whole)


@given(VALUES)
def test_no_users_change_nothing(a: np.ndarray) -> None:
    found = Moments.of(a)
    same(found + Moments.nothing(3), found)
    same(Moments.nothing(3) + found, found)


@given(VALUES)
def test_sums_of_a_database_say_the_same(a: np.ndarray) -> None:
    same(Moments.of_sums(len(a), a.sum(axis=0), a.T @ a), Moments.of(a))


@given(st.integers(2, 50), st.floats(-1e3, 1e3).map(lambda value: round(value, 6)))
def test_sums_of_what_is_the_same_for_all_never_scatter_below_nothing(n: int, value: float) -> None:
    rows = np.column_stack([np.full(n, value), np.full(n, 0.1)])
    found = Moments.of_sums(n, rows.sum(axis=0), rows.T @ rows)
    assert (np.diag(found.scatter) >= 0).all()
    assert effect(found, found).absolute.value == 0  # nothing takes the root of a rounding error


def test_known_values() -> None:
    found = Moments.of([[1, 1, 4], [3, 1, 0]])
    assert found.n == 2
    assert found.mean.tolist() == [2, 1, 2]
    assert found.covariance.tolist() == [[2, 0, -4], [0, 0, 0], [-4, 0, 8]]
    assert Moments.of([1.0, 3.0]).mean.tolist() == [2, 1]
    assert np.isnan(Moments.of([5.0]).covariance).all()


def test_variance_survives_values_far_from_zero() -> None:
    """A plain sum of squares has no digit of the variance left here: 1e18 beside a scatter of thousands."""
    values = 1e9 + np.arange(100.0) / 4
    parts = [Moments.of(part) for part in np.split(values, 10)]
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    variance = float(sum((value - mean) ** 2 for value in exact) / (len(exact) - 1))
    found = sum(parts, Moments.nothing(2))
    assert found.covariance[0, 0] == pytest.approx(variance, rel=1e-12)
    plain = Moments.of_sums(100, [values.sum(), 100], np.array([[values @ values, 0], [0, 100]]))
    assert plain.covariance[0, 0] != pytest.approx(variance, rel=0.1)  # the reason for keeping scatter


def test_parts_of_very_different_size_add_up() -> None:
    """1e8 users and one more: the one is neither lost nor overrated."""
    many = Moments(10**8, np.array([2.0, 1.0]), np.array([[1e8, 0.0], [0.0, 0.0]]))
    found = many + Moments.of([1e4])
    apart = Fraction(10**4 - 2)
    assert found.mean[0] == pytest.approx(float(2 + apart / (10**8 + 1)), rel=1e-15)
    exact = float(10**8 + apart**2 * Fraction(10**8, 10**8 + 1))
    assert found.scatter[0, 0] == pytest.approx(exact, rel=1e-15)
