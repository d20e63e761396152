"""What a user engaged last before a moment: by the log, by plain Python, and as serving remembers it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from freshet.backends.user_stores.history_bytes import decode, engage, merge
from freshet.core.types import Centroids, Fact, History
from freshet.core.types.ids import item_key
from freshet.core.user_numbers import keys
from freshet.stages.content import (
    LAST_ITEMS,
    ContentItems,
    ContentVectors,
    ItemEngagements,
    read_engagements,
)

USERS, TIMES, ITEMS = st.integers(0, 3), st.integers(0, 12), st.integers(0, 9)
ENGAGED = st.lists(st.tuples(USERS, TIMES, ITEMS), max_size=60)


def engagements(rows: list[tuple[int, int, int]]) -> ItemEngagements:
    """(user, time, item) in the order that is asked for."""
    user, time, item = np.array(sorted(rows), np.int64).reshape(-1, 3).T
    return ItemEngagements(user.astype(np.uint64), time.copy(), item.astype(np.int32))


def naive(rows: list[tuple[int, int, int]], user: int, before: int, most: int) -> list[int]:
    """Distinct items of a user strictly before a moment, most recent last."""
    found: list[int] = []
    for _, item in sorted(((t, i) for u, t, i in rows if u == user and t < before), reverse=True):
        if item not in found:
            found.append(item)
    return found[:most][::-1]


@given(rows=ENGAGED, asked=st.lists(st.tuples(USERS, TIMES), max_size=8), most=st.integers(1, 7))
def test_equals_plain_python(
    rows: list[tuple[int, int, int]], asked: list[tuple[int, int]], most: int
) -> None:
    user, time = np.array(asked, np.int64).reshape(-1, 2).T
    found = engagements(rows).last(user.astype(np.uint64), time, most)
    assert found.shape == (len(asked), most)
    for row, (who, when) in zip(found.tolist(), asked, strict=True):
        expected = naive(rows, who, when, most)
        assert row == [-1] * (most - len(expected)) + expected


def known(numbers: list[int]) -> ContentItems:
    """Content of some items, of no width: only their keys count here."""
    names = sorted((f"item-{number}" for number in numbers), key=item_key)
    empty = np.zeros((len(names), 0), np.float16)
    nothing = Centroids(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32))
    item_keys = np.array([item_key(name) for name in names], np.uint64)
    return ContentItems(item_keys, tuple(names), ("",) * len(names), ContentVectors(empty, empty, nothing))


@given(
    rows=st.lists(st.tuples(TIMES, st.integers(0, 70)), max_size=140),
    unknown=st.sets(st.integers(0, 70), max_size=6),
    cut=st.integers(0, 140),
)
def test_serving_remembers_the_same_items(rows: list[tuple[int, int]], unknown: set[int], cut: int) -> None:
    """Whichever way events came in: one by one, or joined to what was there."""
    items = known([number for number in range(71) if number not in unknown])
    number = {name: place for place, name in enumerate(items.ids)}
    before = max((time for time, _ in rows), default=0) + 1
    log = [(1, t, number[f"item-{i}"]) for t, i in rows if i not in unknown]
    [expected] = engagements(log).last(np.array([1], np.uint64), np.array([before]), LAST_ITEMS)

    facts = [Fact(b"", b"u", item_key(f"item-{i}"), 0, t, True, b"") for t, i in rows]
    remembered = decode(engage(None, facts)) if facts else History.empty()
    halves = [decode(engage(None, some)) for some in (facts[:cut], facts[cut:]) if some]
    joined = merge(halves[0], halves[-1]) if halves else History.empty()
    for history in (remembered, joined):
        assert items.last(history).tolist() == expected[expected >= 0].tolist()


@given(listed=st.lists(st.integers(0, 70), max_size=140), unknown=st.sets(st.integers(0, 70), max_size=6))
def test_a_listed_history_counts_like_engagements_one_after_the_other(
    listed: list[int], unknown: set[int]
) -> None:
    items = known([number for number in range(71) if number not in unknown])
    names = [f"item-{i}" for i in listed]
    log = [(1, place, items.ids.index(name)) for place, name in enumerate(names) if name in items.ids]
    [expected] = engagements(log).last(np.array([1], np.uint64), np.array([len(listed)]), LAST_ITEMS)
    assert items.listed(names).tolist() == expected[expected >= 0].tolist()


def test_read_from_the_log(tmp_path: Path) -> None:
    """Positive events alone, with known items, of the users asked for; ordered across days."""
    rows = [
        ("ann", 30, "b", 9),
        ("ann", 30, "a", 9),
        ("bob", 10, "a", 9),
        ("ann", 20, "unknown", 9),
        ("ann", 10, "b", 3),
        ("ann", 15, "a", None),
        ("ann", 5, "c", 8),
    ]
    days = []
    for name, part in (("late", rows[:3]), ("early", rows[3:])):
        user, time, item, value = zip(*part, strict=True)
        columns = {
            "user": pa.array(user),
            "time": pa.array(time, pa.timestamp("us", "UTC")),
            "item": pa.array(item),
            "value": pa.array(value, pa.float64()),
        }
        days.append(tmp_path / f"{name}.parquet")
        pq.write_table(pa.table(columns), days[-1])
    ann, bob = keys(pa.chunked_array([["ann"]]))[0], keys(pa.chunked_array([["bob"]]))[0]
    ids = ["c", "a", "b"]
    everybody = read_engagements(days, "value >= 7", ids)
    expected = {(int(ann), 5, 0), (int(ann), 30, 1), (int(ann), 30, 2), (int(bob), 10, 1)}
    columns = everybody.user.tolist(), everybody.time.tolist(), everybody.item.tolist()
    assert list(zip(*columns, strict=True)) == sorted(expected)
    only = read_engagements(days, "value >= 7", ids, np.array([ann, ann], np.uint64))
    assert set(only.user.tolist()) == {int(ann)}
    assert len(only) == 3
    assert only.before(30).item.tolist() == [0]
    assert len(read_engagements([], "value >= 7", ids)) == 0
