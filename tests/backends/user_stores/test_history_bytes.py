"""Laws of merging, and bytes that come back."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freshet.backends.user_stores.history_bytes import decode, encode, engage, merge
from freshet.core.types import REMEMBERED, Fact, History

TIMES = st.integers(0, 30)


def history(items: dict[int, int], interests: dict[int, int]) -> History:
    raw = History(
        np.array(list(items), np.uint64),
        np.array(list(items.values()), np.int64),
        np.array(list(interests), np.int32),
        np.array(list(interests.values()), np.int64),
    )
    return merge(raw, History.empty())


HISTORIES = st.builds(
    history,
    st.dictionaries(st.integers(0, 2**64 - 1) | st.integers(0, 200), TIMES, max_size=160),
    st.dictionaries(st.integers(0, 40), TIMES, max_size=20),
)


@given(HISTORIES)
def test_bytes_come_back(one: History):
    assert encode(decode(encode(one))) == encode(one)
    assert all(a.flags.aligned and a.flags.writeable for a in (decode(encode(one)).item_times, one.items))


@given(HISTORIES, HISTORIES)
def test_merging_is_commutative(a: History, b: History):
    assert encode(merge(a, b)) == encode(merge(b, a))


@given(HISTORIES, HISTORIES, HISTORIES)
def test_merging_is_associative(a: History, b: History, c: History):
    assert encode(merge(merge(a, b), c)) == encode(merge(a, merge(b, c)))


@given(HISTORIES, HISTORIES)
def test_merging_again_changes_nothing(a: History, b: History):
    both = merge(a, b)
    assert encode(merge(both, a)) == encode(merge(both, both)) == encode(both)
    assert encode(merge(a, History.empty())) == encode(a)


@given(st.lists(st.tuples(st.integers(0, 200), TIMES, st.integers(-1, 9), st.booleans()), max_size=300))
def test_facts_leave_the_last_items_by_time_and_key(rows: list[tuple[int, int, int, bool]]):
    facts = [Fact(b"", b"u", item, interest, time, good, b"") for item, time, interest, good in rows]
    engaged = [row for row in rows if row[3]]
    latest = {item: max(t for i, t, *_ in engaged if i == item) for item, *_ in engaged}
    last = sorted((time, item) for item, time in latest.items())[-REMEMBERED:]
    got = decode(engage(None, [fact for fact in facts if fact.engaged]))
    assert list(zip(got.item_times.tolist(), got.items.tolist(), strict=True)) == last
    interests = {i: max(t for _, t, j, _ in engaged if j == i) for _, _, i, _ in engaged if i >= 0}
    assert dict(zip(got.interests.tolist(), got.interest_times.tolist(), strict=True)) == interests


@given(HISTORIES, st.lists(st.tuples(st.integers(0, 200), TIMES, st.integers(-1, 9)), max_size=20))
def test_engaging_is_merging(known: History, rows: list[tuple[int, int, int]]):
    facts = [Fact(b"", b"u", item, interest, time, True, b"") for item, time, interest in rows]
    merged = known
    for item, time, interest in rows:
        merged = merge(merged, history({item: time}, {interest: time} if interest >= 0 else {}))
    assert engage(encode(known), facts) == encode(merged)


def test_a_size_is_known():
    one = history({n: n for n in range(20)}, {n: n for n in range(8)})
    assert len(encode(one)) == 8 + 20 * 16 + 8 * 12
