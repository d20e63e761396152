"""Laws of the trie: it holds the names it was built from, each once, and only real choices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.backends.planners.bulk import trie
from freshet.core.errors import PlannerError

END = 0
closed_names = st.lists(
    st.lists(st.integers(1, 4), min_size=0, max_size=5).map(lambda name: (*name, END)),
    min_size=1,
    max_size=30,
    unique=True,
)


def decisions(names: list[tuple[int, ...]], name: tuple[int, ...]) -> list[int]:
    """The positions of a name where other names go another way, found the slow way."""
    return [
        depth
        for depth in range(len(name))
        if len({other[depth] for other in names if other[:depth] == name[:depth]}) > 1
    ]


@given(closed_names)
def test_following_a_name_meets_its_choices_and_ends_at_it(names: list[tuple[int, ...]]) -> None:
    built = trie.build(names)
    for interest, name in enumerate(names):
        met, at = [], 0
        while at >= 0 and built.branches:
            branch = built.branches[at]
            assert branch.path == name[: len(branch.path)]
            met.append(len(branch.path))
            [child] = np.flatnonzero(branch.tokens == name[len(branch.path)])
            at = int(branch.targets[child])
        assert met == decisions(names, name)
        assert ~at == interest or not built.branches


@given(closed_names)
def test_every_branch_is_a_choice_and_every_name_a_leaf_once(names: list[tuple[int, ...]]) -> None:
    built = trie.build(names)
    leaves = [~target for branch in built.branches for target in branch.targets if target < 0]
    inner = [target for branch in built.branches for target in branch.targets if target >= 0]
    assert sorted(leaves) == (list(range(len(names))) if len(names) > 1 else [])
    assert sorted(inner) == list(range(1, len(built.branches)))
    for branch in built.branches:
        assert len(branch.tokens) >= 2
        assert (np.diff(branch.tokens) > 0).all()
    assert sum(built.levels) == len(built.branches)
    assert (built.size, built.longest) == (len(names), max(map(len, names)))


@given(closed_names.filter(lambda names: len(names) > 1), st.randoms(use_true_random=False))
def test_the_order_of_names_only_renames_leaves(names, random) -> None:
    order = list(range(len(names)))
    random.shuffle(order)
    one, other = trie.build(names), trie.build([names[i] for i in order])
    assert [branch.path for branch in one.branches] == [branch.path for branch in other.branches]
    for a, b in zip(one.branches, other.branches, strict=True):
        renamed = [~order[~target] if target < 0 else target for target in b.targets]
        assert a.targets.tolist() == renamed


@pytest.mark.parametrize("names", [[(1, 2, END), (1, 2, END)], [(1, END), (1, END, 3, END)]])
def test_names_that_cannot_be_told_apart_are_refused(names) -> None:
    with pytest.raises(PlannerError, match="interests"):
        trie.build(names)
