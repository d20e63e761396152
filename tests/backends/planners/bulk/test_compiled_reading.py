"""How rows are cut into passes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from freshet.backends.planners.bulk.compiled_reading import cut, within


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(0, 10))
def test_parts_are_neighbours_of_about_the_same_sum(sizes: list[int], count: int) -> None:
    parts = cut(np.array(sizes, np.int64), count)
    assert [row for a, b in parts for row in range(a, b)] == list(range(len(sizes)))
    assert all(a < b for a, b in parts)
    for a, b in parts:
        assert sum(sizes[a:b]) <= sum(sizes) / max(count, 1) + max(sizes)


@given(st.lists(st.integers(0, 5), max_size=20))
def test_tokens_are_counted_within_their_row(lengths: list[int]) -> None:
    assert within(np.array(lengths, np.int64)).tolist() == [i for n in lengths for i in range(n)]
