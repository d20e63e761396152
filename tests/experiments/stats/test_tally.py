"""Users are found, and their days add up."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freshet.experiments.stats.moments import Moments
from freshet.experiments.stats.tally import Tally, Users

KEYS = st.integers(0, 2**64 - 1)


@given(st.lists(KEYS, unique=True, max_size=50), st.lists(KEYS, max_size=50))
def test_users_are_found_by_their_key(known: list[int], asked: list[int]) -> None:
    known = sorted(known)
    users = Users(np.array(known, np.uint64), np.zeros(len(known), np.int8), np.zeros(len(known), np.int64))
    keys = known + asked
    expected = [known.index(key) if key in known else -1 for key in keys]
    assert users.find(np.array(keys, np.uint64)).tolist() == expected


def equal(a: Moments, b: Moments) -> None:
    assert a.n == b.n
    np.testing.assert_allclose(a.mean, b.mean)
    np.testing.assert_allclose(a.scatter, b.scatter, atol=1e-9)


@given(st.integers(0, 1000), st.booleans(), st.integers(0, 2))
def test_days_add_up(seed: int, per_user: bool, q: int) -> None:
    rng = np.random.default_rng(seed)
    n, days = 30, 4
    first = rng.integers(0, days, n)
    users = Users(
        np.sort(rng.integers(0, 2**63, n).astype(np.uint64)), rng.integers(0, 3, n).astype(np.int8), first
    )
    past = rng.integers(0, 9, (q, n)).astype(np.int32)
    y, d = rng.integers(0, 5, (2, days, n)) * (first <= np.arange(days)[:, None])
    tally = Tally(users, 3, past, per_user)
    for day in range(days):
        found = tally.add(day + 1, y[day], None if per_user else d[day])
        for arm in range(3):
            who = (users.arm == arm) & (first <= day)
            one = np.ones(n) if per_user else d[day]
            all_so_far = np.ones(n) if per_user else d[: day + 1].sum(0)
            equal(found.daily[arm], Moments.of(np.vstack([y[day], one, past]).T[who]))
            equal(
                found.cumulative[arm],
                Moments.of(np.vstack([y[: day + 1].sum(0), all_so_far, past]).T[who]),
            )
