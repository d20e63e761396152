"""Whose engagements an import changed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.time import DAY
from freshet.stages.transitions.affected import Affected
from freshet.stages.transitions.day_files import ENGAGEMENT

keys = st.integers(0, 12) | st.integers(2**64 - 5, 2**64 - 1)


@given(st.dictionaries(keys, st.integers(-3, 3)), st.lists(st.tuples(keys, st.integers(-4, 4))))
def test_rows_are_counted_again_from_the_first_day_that_differs(
    since: dict[int, int], engaged: list[tuple[int, int]]
) -> None:
    known = sorted(since)
    affected = Affected(np.array(known, np.uint64), np.array([since[user] for user in known], np.int32))
    rows = np.zeros(len(engaged), ENGAGEMENT)
    rows["user"] = np.array([user for user, _ in sorted(engaged)], np.uint64)
    rows["time"] = [day * DAY + 5 for _, day in sorted(engaged)]
    again = [day >= since.get(user, 10) for user, day in sorted(engaged)]
    assert affected.again(rows).tolist() == again
    among = affected.among(np.ascontiguousarray(rows["user"]))
    assert among.tolist() == [i for i, (user, _) in enumerate(sorted(engaged)) if user in since]
