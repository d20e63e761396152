"""Items of the interests that are recommended: not seen, not ineligible, none twice."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.types import History
from freshet.core.types.ids import item_key
from freshet.serving.item_selection import ItemSelector
from freshet.stages.items import ItemIndex, Ranker

N, EACH = 3, 4
IDS = tuple(f"i{number}" for number in range(N * EACH))


def selector(seed: int = 0) -> ItemSelector:
    """Three interests of four items, the first the most popular."""
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(len(IDS), 2)).astype(np.float32)
    index = ItemIndex(
        ids=IDS,
        titles=tuple(name.upper() for name in IDS),
        start=np.arange(N + 1, dtype=np.int64) * EACH,
        prior=np.zeros(len(IDS), np.float32),
        popular=np.log(np.tile([0.4, 0.3, 0.2, 0.1], N)).astype(np.float32),
        engaged=np.ones(len(IDS), bool),
        nearest=np.array([[1, 2], [0, 2], [0, 1]], np.int16),
    )
    return ItemSelector.of(Ranker(index, embedding, lambda recent: embedding[recent].mean(axis=0)))


def history(*items: str) -> History:
    times = np.arange(len(items), dtype=np.int64)
    keys = np.array([item_key(item) for item in items], np.uint64)
    return History(keys, times, np.zeros(0, np.int32), np.zeros(0, np.int64))


def test_a_history_becomes_numbers_in_its_order_without_what_is_unknown() -> None:
    assert selector().engaged(history("i7", "gone", "i0", "i11")).tolist() == [7, 0, 11]
    assert selector().engaged(History.empty()).tolist() == []
    assert selector().numbers(["i3", "gone", "i1"]).tolist() == [3, 1]


def test_without_a_history_the_popular_ones_stand_first() -> None:
    [found] = selector().select([1], np.zeros(0, np.int64), (), frozenset(), 2)
    assert [(item.id, item.title, item.reason) for item in found] == [
        ("i4", "I4", "popular"),
        ("i5", "I5", "popular"),
    ]


@given(
    seen=st.lists(st.sampled_from(IDS), unique=True, max_size=9),
    exclude=st.lists(st.sampled_from([*IDS, "gone"]), max_size=3),
    blocked=st.frozensets(st.sampled_from([*IDS, "gone"]), max_size=3),
    interests=st.lists(st.integers(0, N - 1), unique=True, min_size=1, max_size=N),
    count=st.integers(1, 6),
    seed=st.integers(0, 3),
)
def test_nothing_seen_or_ineligible_is_shown_and_nothing_twice(
    seen: list[str],
    exclude: list[str],
    blocked: frozenset[str],
    interests: list[int],
    count: int,
    seed: int,
) -> None:
    chooser = selector(seed)
    found = chooser.select(interests, chooser.engaged(history(*seen)), exclude, blocked, count)
    assert len(found) == len(interests)
    shown = [item.id for some in found for item in some]
    left = set(IDS) - set(seen) - set(exclude) - blocked
    assert set(shown) <= left
    assert len(set(shown)) == len(shown)
    assert len(shown) == min(len(left), count * len(interests))  # interests help each other out
