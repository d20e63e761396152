"""The tree of interests: every interest once, branches that part, names that say what is shared."""

from __future__ import annotations

from collections.abc import Iterator

from freshet.inspect.interest_listing import InterestLine, Listing
from freshet.inspect.interest_tree import Branch, tree


def listing(*names: str) -> Listing:
    """Interests with these descriptions; the first has most traffic."""
    total = sum(range(1, len(names) + 1))
    lines = tuple(
        InterestLine(100 + place, name, 10, (len(names) - place) / total, 0.5, ())
        for place, name in enumerate(names)
    )
    return Listing("v", "2024-01-01", lines, {}, {})


def ids(branch: Branch) -> Iterator[int]:
    yield from (line.id for line in branch.lines)
    for below in branch.branches:
        yield from ids(below)


def test_each_interest_stands_once_beside_those_that_share_its_way() -> None:
    names = ("wizard magic", "dragon magic", "spy war", "spy city", "cake oven")
    paths = {100: (0, 0), 101: (0, 1), 102: (1, 0), 103: (1, 1), 104: (2, 0)}
    root = tree(listing(*names), paths)
    assert sorted(ids(root)) == [100, 101, 102, 103, 104]
    assert [branch.name for branch in root.branches] == ["magic wizard dragon", "spy war city"]
    assert [line.id for line in root.lines] == [104]  # a branch of one is none
    assert root.branches[0].interests == 2
    assert abs(sum(line.traffic for line in root.lines) + sum(b.traffic for b in root.branches) - 1) < 1e-9


def test_where_nothing_is_shared_a_branch_is_named_by_its_busiest_interests() -> None:
    names = ("wizard", "dragon", "elf", "orc", "gnome", "cake", "bread")
    paths = {100 + place: (place // 5, place % 5) for place in range(7)}
    root = tree(listing(*names), paths)
    assert [branch.name for branch in root.branches] == ["wizard / dragon", "cake bread"]


def test_levels_at_which_nothing_parts_are_left_out() -> None:
    paths = {100: (0, 0, 0), 101: (0, 0, 1), 102: (0, 1, 0), 103: (0, 1, 1)}
    root = tree(listing("a b", "a c", "d e", "d f"), paths)
    assert [branch.key for branch in root.branches] == ["0-0", "0-1"]


def test_flat_interests_are_a_list() -> None:
    root = tree(listing("a", "b", "c"), {100: (0,), 101: (1,), 102: (2,)})
    assert not root.branches
    assert [line.id for line in root.lines] == [100, 101, 102]
