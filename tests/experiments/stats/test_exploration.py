"""Metrics of exploration against the same counted user by user."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.time import DAY
from freshet.experiments.stats.exploration import WEEK, Additions, Engaged, interests_7d, novel, returned_7d

END = 40 * DAY
engagements = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 45)), max_size=40, unique=True
)
firsts = st.lists(st.integers(0, 40), min_size=3, max_size=3)
horizons = st.sampled_from([5, 10, None])


def rows(recorded: list[tuple[int, int, int]]) -> Engaged:
    user, interest, day = (
        (np.array(column, np.int64) for column in zip(*recorded, strict=True))
        if recorded
        else [np.zeros(0, np.int64)] * 3
    )
    return Engaged.of(user, interest, day * DAY)


def per_user(found: Additions) -> list[tuple[int, int]]:
    return [
        (int(found.y[found.user == user].sum()), int(found.d[found.user == user].sum())) for user in range(3)
    ]


def take_ups(recorded: list[tuple[int, int, int]], user: int, horizon: int | None) -> list[tuple[int, int]]:
    """(interest, day) of what was novel."""
    found = []
    for who, interest, day in recorded:
        earlier = [d for w, i, d in recorded if (w, i) == (user, interest) and d < day]
        if who == user and not any(horizon is None or day - d <= horizon for d in earlier):
            found.append((interest, day))
    return found


@given(engagements, firsts, horizons)
def test_novel_interests_taken_up(recorded: list, first: list, horizon: int | None) -> None:
    h = None if horizon is None else horizon * DAY
    found = novel(rows(recorded), np.array(first) * DAY, h, END)
    for user in range(3):
        taken = [day for _, day in take_ups(recorded, user, horizon) if first[user] <= day < 40]
        assert per_user(found)[user] == (len(taken), 0)
        assert sorted(found.time[found.user == user].tolist()) == sorted(day * DAY for day in taken)


@given(engagements, firsts)
def test_different_interests_in_full_weeks(recorded: list, first: list) -> None:
    found = interests_7d(rows(recorded), np.array(first) * DAY, END)
    for user in range(3):
        weeks = (40 - first[user]) // 7
        seen = {
            ((day - first[user]) // 7, interest)
            for who, interest, day in recorded
            if who == user and first[user] <= day < first[user] + 7 * weeks
        }
        assert per_user(found)[user] == (len(seen), weeks)
    ends = (found.time + 1 - np.array(first)[found.user] * DAY) % WEEK
    assert not ends.any()  # each counts when its week is over


@given(engagements, firsts, horizons)
def test_returns_to_what_was_taken_up(recorded: list, first: list, horizon: int | None) -> None:
    h = None if horizon is None else horizon * DAY
    found = returned_7d(rows(recorded), np.array(first) * DAY, h, END)
    for user in range(3):
        taken = take_ups(recorded, user, horizon)
        old = [(i, day) for i, day in taken if first[user] <= day and day + 7 < 40]
        back = 0
        for interest, day in old:
            anew = min([d for i, d in taken if i == interest and d > day], default=99)
            back += any(w == user and i == interest and day + 7 <= d < min(anew, 40) for w, i, d in recorded)
        assert per_user(found)[user] == (back, len(old))


def test_a_return_counts_on_its_day() -> None:
    found = returned_7d(rows([(0, 1, 2), (0, 1, 8), (0, 1, 9), (0, 1, 12)]), np.array([0]), None, END)
    assert found.time.tolist() == [9 * DAY, 9 * DAY]  # 7 days old on day 9, and engaged again on that day
    assert (found.y.tolist(), found.d.tolist()) == ([0, 1], [1, 0])
