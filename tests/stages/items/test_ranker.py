"""Which items of an interest a user is shown, and where the rest comes from when they are few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.stages.items import Ranker
from tests.stages.items.worlds import item_index, ranker


def barring(made: Ranker, *numbers: int) -> np.ndarray:
    barred = np.zeros(len(made.ids), bool)
    barred[list(numbers)] = True
    return barred


def test_without_a_history_the_popular_items_of_the_interest_come_first() -> None:
    made = ranker(item_index())
    assert made.state(np.zeros(0, np.int64)) is None
    found = made.top(None, 1, None, 3)
    assert [(number, reason) for number, _, reason in found] == [
        (4, "popular"),
        (5, "popular"),
        (6, "popular"),
    ]
    shares = np.array([1 / 5, 1 / 6, 1 / 7])
    np.testing.assert_allclose(np.exp([score for _, score, _ in found]), shares / shares.sum(), rtol=1e-5)


def test_a_history_changes_the_order_and_names_what_nobody_engaged_yet() -> None:
    made = ranker(item_index(unengaged=(6,)))
    found = made.top(made.state(np.array([5])), 1, None, 3)
    assert [(number, reason) for number, _, reason in found] == [
        (6, "new"),
        (4, "sequence"),
        (5, "sequence"),
    ]


def test_what_is_barred_is_not_shown_and_takes_no_probability() -> None:
    made = ranker(item_index())
    found = made.top(None, 0, barring(made, 0, 2), 2)
    assert [number for number, _, _ in found] == [1, 3]
    assert sum(np.exp(score) for _, score, _ in found) == pytest.approx(1, abs=1e-5)


def test_too_few_items_are_filled_up_from_the_sibling_then_from_anywhere() -> None:
    made = ranker(item_index())
    found = made.top(None, 3, barring(made, 11), 4)  # interest 3 holds items 10 and 11, its sibling 7 to 9
    assert [number for number, _, _ in found] == [10, 7, 8, 9]
    assert [reason for _, _, reason in found] == ["popular", "parent", "parent", "parent"]
    everything = made.top(None, 3, None, 50)
    assert len(everything) == 12
    assert len({number for number, _, _ in everything}) == 12


def test_an_empty_interest_is_answered_by_its_neighbours() -> None:
    made = ranker(item_index((4, 0, 3, 2)))
    assert [(n, reason) for n, _, reason in made.top(None, 1, None, 2)] == [(0, "parent"), (1, "parent")]


@given(
    st.integers(0, 3),
    st.integers(1, 14),
    st.sets(st.integers(0, 11)),
    st.one_of(st.none(), st.integers(0, 11)),
)
def test_as_many_as_asked_or_all_that_may_be_shown_each_once(
    interest: int, count: int, barred: set[int], last: int | None
) -> None:
    made = ranker(item_index())
    state = None if last is None else made.state(np.array([last]))
    found = made.top(state, interest, barring(made, *barred), count)
    numbers = [number for number, _, _ in found]
    assert len(numbers) == len(set(numbers)) == min(count, 12 - len(barred))
    assert not barred & set(numbers)
    own = [n for n in range(12) if made.interest[n] == interest and n not in barred]
    assert set(numbers[: len(own)]) <= set(own)


def test_items_are_found_by_their_id() -> None:
    made = ranker(item_index())
    assert made.index["7"] == 7
    assert made.titles[7] == "title 7"
    assert made.interest.tolist() == [0] * 4 + [1] * 3 + [2] * 3 + [3] * 2
