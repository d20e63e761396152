"""Laws of sharing: every prompt once, nothing read twice that one level of sharing could save."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freshet.backends.planners.bulk.sharing import pack, share

prompts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=40)


def read(given: list[list[int]], groups) -> int:
    """Tokens read when each group's beginning is read once."""
    return sum(g.shared + sum(len(given[row]) - g.shared for row in g.rows) for g in groups)


def common(given: list[list[int]], rows: list[int]) -> int:
    """Tokens that all the rows begin with, each keeping one of its own."""
    shared = 0
    while all(len(given[r]) > shared + 1 and given[r][shared] == given[rows[0]][shared] for r in rows):
        shared += 1
    return shared


@given(prompts)
def test_groups_hold_every_prompt_once_and_what_they_share_is_shared(given: list[list[int]]) -> None:
    groups = share(given)
    assert sorted(row for group in groups for row in group.rows) == list(range(len(given)))
    for group in groups:
        beginnings = {tuple(given[row][: group.shared]) for row in group.rows}
        assert len(beginnings) == 1
        assert all(len(given[row]) > group.shared for row in group.rows)


@given(prompts)
def test_sharing_reads_no_more_than_none_or_all_together(given: list[list[int]]) -> None:
    rows = list(range(len(given)))
    alone = sum(map(len, given))
    assert read(given, share(given)) <= min(alone, alone - (len(rows) - 1) * common(given, rows))


def test_a_full_table_shares_its_first_interests() -> None:
    names = [[10 + i, 50 + i % 3] for i in range(20)]
    table = [[1, *names[a], 2, *names[b], 3] for a in range(20) for b in range(20) if a != b]
    groups = share(table)
    assert len(groups) == 20
    assert {group.shared for group in groups} == {4}


@given(prompts, st.integers(1, 20), st.integers(1, 40), st.integers(1, 10))
def test_batches_hold_every_row_once_within_their_bounds(
    given: list[list[int]], budget: int, tokens: int, rows: int
) -> None:
    groups, lengths = share(given), np.array([len(prompt) for prompt in given])
    seen: list[int] = []
    for batch in pack(groups, lengths, budget, tokens, rows):
        seen += batch.rows.tolist()
        part = batch.cells // batch.places
        assert (np.diff(batch.cells) > 0).all()
        assert part.max() < len(batch.groups)
        for row, number in zip(batch.rows, batch.groups[part], strict=True):
            assert row in groups[number].rows
        own = [
            int(lengths[row]) - groups[number].shared
            for row, number in zip(batch.rows, batch.groups[part], strict=True)
        ]
        assert len(own) <= rows
        assert sum(own) <= max(tokens, max(own))
    assert sorted(seen) == list(range(len(given)))
