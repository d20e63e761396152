"""Lists that stay: none that knows what came after the moment it is used at."""

from __future__ import annotations

import numpy as np

from freshet.core.types import AsOf, PlannerRows, ShortLists
from freshet.stages.users.user_asking import same_lists

CONTEXT = np.array([[-1, 4, 5, 6]], np.int16)


def stored(*days: int) -> PlannerRows:
    """A row of one context for each day, whose list holds the row's place."""
    n = len(days)
    lists = ShortLists(
        np.arange(n, dtype=np.int16)[:, None], np.ones(n, np.float32), np.array(days, np.int32)
    )
    rows = PlannerRows(
        np.repeat(CONTEXT, n, axis=0),
        np.zeros((n, 16), np.uint8),
        np.zeros((n, 1), np.int16),
        np.zeros((n, 1), np.float32),
        np.zeros(n, np.int32),
        ("",),
        lists,
    )
    return rows


def test_a_held_out_window_takes_no_list_that_was_made_later() -> None:
    day = AsOf.parse("2024-02-20").day_number
    for made, taken in [
        ((day + 1,), -1),
        ((day,), 0),
        ((day - 3, day - 1, day + 1), 1),
        ((day - 1, day - 3), 0),
    ]:
        found = same_lists(stored(*made), CONTEXT, 1, AsOf.parse("2024-02-20"))
        assert found is not None
        assert found.tolist() == [[taken]]
