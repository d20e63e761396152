"""Lifts of successors after contexts over how well they are taken anywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.experiments.feedback.lifts import BITS, by_place, keys_of, learn, levels
from tests.experiments.feedback.worlds import Row, drawn, outcomes, rows_of, some_lift

STRENGTHS = (10.0, 10.0, 10.0)
prior_counts_of = st.tuples(*[st.sampled_from([1.0, 10.0, 300.0])] * 3)


def lift_of(rows: list[Row], context: tuple[int, int], shown: int) -> float:
    found = learn(outcomes(rows), STRENGTHS)
    return float(found.of(np.array([context], np.int16), np.array([shown], np.int16))[0])


def test_known_answers() -> None:
    # after interest 0, successor 5 is taken 30 times of 100; after 1, 10 times of 100
    rows: list[Row] = [
        ((-1, last), 5, 0, i < taken) for last, taken in ((0, 30), (1, 10)) for i in range(100)
    ]
    rate = (40 + 1) / (200 + 202 / 41)
    assert by_place(outcomes(rows))[0] == pytest.approx(rate)
    own = (40 + 10) / (200 * rate + 10)
    after = [(taken + 10) / (100 * rate * own + 10) for taken in (30, 10)]
    assert lift_of(rows, (-1, 0), 5) == pytest.approx(math.log(after[0]))
    assert lift_of(rows, (-1, 1), 5) == pytest.approx(math.log(after[1]))
    assert lift_of(rows, (-1, 2), 5) == 0
    assert lift_of(rows, (-1, 0), 4) == 0
    assert lift_of(rows, (3, 0), 5) == pytest.approx(math.log(after[0])), "of the last interest alone"


def test_a_successor_that_is_taken_well_everywhere_has_no_lift() -> None:
    rows: list[Row] = [
        ((-1, last), shown, 0, i < taken)
        for last in range(3)
        for shown, taken in ((4, 80), (5, 10))
        for i in range(100)
    ]
    found = learn(outcomes(rows), (0.001, 10.0, 10.0))
    assert np.abs(found.values[found.keys >= 1 << BITS]).max() < 0.02
    better, worse = found.own(np.array([4, 5], np.int16))
    assert better - worse == pytest.approx(math.log(8), abs=1e-3)


def test_what_a_place_takes_away_is_no_fault_of_the_successor() -> None:
    # 5 stands below after 0 and first after 1; it is taken there as anything is
    rows: list[Row] = [
        ((-1, last), shown, place, i < taken)
        for last, shown, place, taken in ((0, 4, 0, 50), (0, 5, 1, 10), (1, 5, 0, 50), (1, 4, 1, 10))
        for i in range(100)
    ]
    assert np.abs(learn(outcomes(rows), STRENGTHS).values).max() < 0.02, "nor anything of its own"


@given(rows_of, prior_counts_of)
def test_the_order_of_rows_changes_nothing(rows: list[Row], prior_counts: tuple[float, ...]) -> None:
    one, other = (learn(outcomes(part), prior_counts) for part in (rows, rows[::-1]))
    assert np.array_equal(one.keys, other.keys)
    assert np.allclose(one.values, other.values)


@given(rows_of, prior_counts_of)
def test_lifts_are_finite_and_known_by_ascending_keys(
    rows: list[Row], prior_counts: tuple[float, ...]
) -> None:
    found = learn(outcomes(rows), prior_counts)
    assert np.isfinite(found.values).all()
    assert (np.diff(found.keys) > 0).all()
    assert (found.keys >= 0).all()


@given(rows_of, st.data())
def test_one_more_success_raises_the_lift_of_its_context(rows: list[Row], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(rows) - 1))
    context, shown, where, _ = rows[place]
    if context[1] < 0:
        return
    others = [row for i, row in enumerate(rows) if i != place and row[1] == shown]
    if not any(row[0][1] != context[1] for row in others):
        return  # seen nowhere else, it can't be taken better here than elsewhere
    less, more = (
        lift_of([*rows[:place], (context, shown, where, took), *rows[place + 1 :]], context, shown)
        for took in (False, True)
    )
    assert more > less


@given(rows_of)
def test_keys_of_different_lengths_never_meet(rows: list[Row]) -> None:
    rows_ = outcomes(rows)
    seen = [set(keys_of(rows_.context, rows_.shown, length).tolist()) - {-1} for length in range(3)]
    assert len(set().union(*seen)) == sum(map(len, seen))


def test_known_lifts_are_found() -> None:
    truth = some_lift(0.6)
    found = learn(drawn(200_000, truth), (1.0, 10.0, 300.0))
    grid = np.array([[last, shown] for last in range(6) for shown in range(6)], np.int16)
    seen = found.of(np.stack([np.full(36, -1, np.int16), grid[:, 0]], axis=1), grid[:, 1])
    # lifts are of rates, the truth is of odds: a third of which is lost where a quarter is taken
    assert np.corrcoef(seen, truth.reshape(-1))[0, 1] > 0.97


def test_levels_multiply_up_to_what_was_seen() -> None:
    rows = drawn(20_000, some_lift(0.6))
    found = levels(rows, (1e-9, 1e-9, 1e-9))
    expected = by_place(rows)[np.minimum(rows.place, 9)]
    for length, (keys, ratios) in enumerate(found):
        expected = expected * ratios[np.searchsorted(keys, keys_of(rows.context, rows.shown, length))]
    pair = keys_of(rows.context, rows.shown, 2)
    cells, place = np.unique(pair, return_inverse=True)
    assert np.allclose(np.bincount(place, expected), np.bincount(place, rows.reward), atol=1e-3)
    assert len(cells) == 216
