"""What a ranker learns from: known answers on small logs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet.core.errors import ConfigError
from freshet.core.time import DAY
from freshet.stages.items import Engagements, engagements, features, popularity
from freshet.stages.items.item_histories import rows
from freshet.stages.items.item_log import UNSEEN

INTEREST = np.array([0, 0, 1, 1, 2], np.int16)


def log(*events: tuple[int, float, int]) -> Engagements:
    """(user, day, item) each, sorted as a log is."""
    user, day, item = (np.array(column) for column in zip(*sorted(events), strict=True))
    first = np.full(len(INTEREST), UNSEEN, np.int32)
    for _, when, what in events:
        first[what] = min(first[what], int(when))
    return Engagements(user.astype(np.int64), (day * DAY).astype(np.int64), item.astype(np.int32), first)


def test_a_step_is_preceded_by_what_came_before_it_alone() -> None:
    found = rows(log((7, 1, 0), (7, 2, 2), (7, 2, 3), (7, 3, 0), (7, 4, 4)), INTEREST, 3, None)
    assert found.item.tolist() == [0, 2, 3, 4]  # item 0 the second time is no news
    assert found.recent.tolist() == [[-1, -1, -1], [-1, -1, 0], [-1, -1, 0], [2, 3, 0]]
    assert found.novel.tolist() == [True] * 4
    assert found.step[1] == found.step[2] != found.step[3]


def test_an_interest_is_novel_again_after_a_while() -> None:
    events = log((1, 0, 0), (1, 5, 1), (1, 40, 2), (2, 3, 3))
    assert rows(events, INTEREST, 2, 30).novel.tolist() == [True, True, False, True]
    again = log((1, 0, 0), (1, 31, 1))
    assert rows(again, INTEREST, 2, 30).novel.tolist() == [True, True]
    assert rows(again, INTEREST, 2, None).novel.tolist() == [True, False]


def test_rows_are_in_the_order_of_time_and_users_do_not_mix() -> None:
    found = rows(log((1, 9, 0), (2, 1, 3), (2, 8, 4), (1, 2, 2)), INTEREST, 2, None)
    assert found.day.tolist() == [1, 2, 8, 9]
    assert found.recent.tolist() == [[-1, -1], [-1, -1], [-1, 3], [-1, 2]]


def test_the_last_few_items_are_remembered_most_recent_last() -> None:
    found = rows(log(*((1, day, item) for day, item in enumerate([0, 1, 2, 0, 3, 4]))), INTEREST, 3, None)
    assert found.recent[-1].tolist() == [2, 0, 3]


def test_popularity_before_a_moment_is_halved_every_half_life() -> None:
    events = log((1, 0, 0), (2, 4, 0), (3, 4, 1), (4, 8, 0))
    at = np.array([4, 8, 12], np.int32)
    found = [counted.tolist() for counted in popularity(events, at, [4.0])]
    np.testing.assert_allclose(found[0], [[0.5, 0, 0, 0, 0]])
    np.testing.assert_allclose(found[1], [[0.25 + 0.5, 0.5, 0, 0, 0]])
    np.testing.assert_allclose(found[2], [[0.125 + 0.25 + 0.5, 0.25, 0, 0, 0]])


def test_newness_falls_with_age_and_what_nobody_saw_is_new() -> None:
    (known,) = features(log((1, 0, 0), (2, 9, 1)), np.array([10], np.int32), [4.0])
    assert known.shape == (2, 5)
    np.testing.assert_allclose(known[1], [-np.log(11), -np.log(2), 0, 0, 0], rtol=1e-6)


def test_before_a_day_nothing_later_is_known() -> None:
    events = log((1, 0, 0), (2, 9, 1))
    early = events.before(9)
    assert early.item.tolist() == [0]
    assert early.first.tolist() == [0, UNSEEN, UNSEEN, UNSEEN, UNSEEN]


def test_engagements_are_read_by_the_positive_rule(tmp_path: Path) -> None:
    time = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3, 3)]
    table = pa.table(
        {
            "user": ["b", "a", "a", "a"],
            "item": ["x", "y", "x", "z"],
            "time": time,
            "value": [9.0, 3.0, 8.0, 9.0],
        }
    )
    pq.write_table(table, tmp_path / "day.parquet")
    found = engagements([tmp_path / "day.parquet"], "value >= 7", ["x", "y"])
    assert (found.user.tolist(), found.item.tolist()) == ([0, 1], [0, 0])
    base = datetime(2024, 1, 1, tzinfo=UTC).timestamp() // 86400
    assert found.first.tolist() == [base, base + 1]
    with pytest.raises(ConfigError, match="does not fit"):
        engagements([tmp_path / "day.parquet"], "stars > 3", ["x"])
