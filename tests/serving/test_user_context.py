"""A remembered history means what the counting of transitions means by it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.time import DAY
from freshet.core.types import RECENT
from freshet.core.types.ids import user_number
from freshet.serving.user_context import context_at, context_of_list, horizon
from freshet.stages.transitions.day_files import ENGAGEMENT
from freshet.stages.transitions.walk import walk

N = 14
USER = user_number("somebody")
ALL = np.arange(N, dtype=np.int16)


@pytest.mark.parametrize("days", [3, "ever"])
@given(
    steps=st.lists(st.tuples(st.integers(0, 12), st.integers(0, N - 1)), min_size=1, max_size=60),
    seed=st.integers(0, 3),
)
def test_equals_the_walk_over_the_whole_log(days: int | str, steps: list[tuple[int, int]], seed: int) -> None:
    """At each transition of a log, the history until then gives its context and what was known."""
    rows = np.array([(USER, day * DAY, interest) for day, interest in sorted(set(steps))], ENGAGEMENT)
    novelty = None if days == "ever" else int(days)
    found = walk(rows, np.ones(len(rows), bool), interests=N, novelty_days=novelty, seed=seed)
    for transition in found:
        before = rows[rows["time"] < transition["time"]]
        last = {int(row["interest"]): int(row["time"]) for row in before}
        seen = context_at(
            np.array(list(last), np.int32),
            np.array(list(last.values()), np.int64),
            ALL,
            N,
            int(transition["time"]),
            horizon(days),
            USER,
            seed,
        )
        np.testing.assert_array_equal(seen.recent, transition["recent"])
        known = np.unpackbits(transition["known"], count=N).astype(bool)
        np.testing.assert_array_equal(seen.known, known)


def test_the_future_of_a_fast_clock_counts_as_now() -> None:
    seen = context_at(np.array([2], np.int32), np.array([10 * DAY]), ALL, N, 9 * DAY, horizon(3), USER, 0)
    assert seen.known[2]
    assert seen.recent[-1] == 2


def test_interests_that_are_no_more_are_forgotten() -> None:
    index = np.array([-1, 3], np.int16)  # of the ids 0 and 1
    seen = context_at(
        np.array([0, 1, 7, -1], np.int32), np.array([5, 4, 5, 5]), index, N, 6, horizon("ever"), USER, 0
    )
    assert seen.recent[-2:].tolist() == [-1, 3]
    assert seen.known.sum() == 1


def test_a_list_of_interests_keeps_its_order_each_where_it_stands_last() -> None:
    seen = context_of_list(np.array([4, 2, -1, 4, 7], np.int16), N, 100)
    assert seen.recent[-4:].tolist() == [-1, 2, 4, 7]
    assert sorted(np.flatnonzero(seen.known).tolist()) == [2, 4, 7]
    long = context_of_list(np.arange(N, dtype=np.int16), N, 100)
    assert long.recent.tolist() == list(range(N - RECENT, N))
    assert long.known.all()
    assert not context_of_list(np.zeros(0, np.int16), N, 100).known.any()
