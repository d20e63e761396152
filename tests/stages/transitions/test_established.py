"""Since when users have a past."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.stages.transitions import established as module
from freshet.stages.transitions.established import NEVER, established

days_of = st.lists(st.tuples(st.integers(1, 6), st.integers(100, 130)), max_size=40)


@given(days_of, st.integers(1, 3), st.integers(1, 9))
def test_it_is_as_defined_in_any_order_and_in_parts(
    pairs: list[tuple[int, int]], active: int, age: int
) -> None:
    held: dict[int, set[int]] = defaultdict(set)
    for user, day in pairs:
        held[user].add(day)
    half = len(pairs) // 2
    parts = [
        (np.array([user for user, _ in some], np.uint64), np.array([day for _, day in some], np.int64))
        for some in (pairs[half:], pairs[:half])
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PENDING", 5)
        found = established(parts, active, age)
    assert found.users.tolist() == sorted(held)
    for day in range(100, 140):
        expected = [
            len([d for d in own if d < day]) >= active and min(own) + age <= day
            for _, own in sorted(held.items())
        ]
        assert found.on(found.users, day).tolist() == expected
        assert found.known_on(day).tolist() == [
            u for u, yes in zip(sorted(held), expected, strict=True) if yes
        ]


def test_nobody_is_established_who_is_not_there() -> None:
    found = established([(np.array([7], np.uint64), np.array([10]))], 1, 1)
    assert found.on(np.array([7, 8], np.uint64), 11).tolist() == [True, False]
    assert found.since.tolist() == [11]
    nobody = established([], 2, 7)
    assert nobody.on(np.array([7], np.uint64), 99).tolist() == [False]
    assert established([(np.array([7], np.uint64), np.array([10]))], 2, 1).since.tolist() == [NEVER]
