"""The closed set of answers as a trie of tokens, reduced to the nodes where a choice is made.

The probability of a name is the product, over the branching nodes on its way, of the model's probability of
the next token renormalised over the node's children. A node with one child is no choice: its token has
probability one and is only carried along in the path of the next branch. No model and no torch here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import PlannerError


@dataclass(frozen=True, slots=True)
class Branch:
    """A node with at least two children.

    Attributes:
        path: the tokens from the end of the prompt to this node.
        tokens: (c,) next token of each child, ascending.
        targets: (c,) where the child leads once forced tokens are skipped: the index of another branch, or
            `~interest` (negative) when no choice is left.
    """

    path: tuple[int, ...]
    tokens: NDArray[np.int64]
    targets: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trie:
    """Attributes:
    branches: breadth first, the root first; empty when there is only one name.
    levels: number of branches at each depth of choices.
    size: number of names.
    longest: tokens of the longest name, its end token included.
    """

    branches: tuple[Branch, ...]
    levels: tuple[int, ...]
    size: int
    longest: int


def build(names: Sequence[Sequence[int]]) -> Trie:
    """The trie of names given as token ids, each closed by an end token.

    Raises:
        PlannerError: two names have the same tokens, or one continues another's end.
    """
    branches: list[Branch] = []
    levels: list[int] = []
    frontier = [_skip_forced(names, list(range(len(names))), 0)]
    frontier = [node for node in frontier if len(node[0]) > 1]
    while frontier:
        levels.append(len(frontier))
        following: list[tuple[list[int], int]] = []
        first_child = len(branches) + len(frontier)
        for members, depth in frontier:
            tokens, targets = [], []
            for token, group in _children(names, members, depth):
                below, next_depth = _skip_forced(names, group, depth + 1)
                tokens.append(token)
                if len(below) == 1:
                    targets.append(~below[0])
                else:
                    targets.append(first_child + len(following))
                    following.append((below, next_depth))
            path = tuple(names[members[0]][:depth])
            branches.append(Branch(path, np.array(tokens), np.array(targets)))
        frontier = following
    return Trie(tuple(branches), tuple(levels), len(names), max(map(len, names), default=0))


def _children(
    names: Sequence[Sequence[int]], members: Sequence[int], depth: int
) -> list[tuple[int, list[int]]]:
    """The members of a node grouped by their token at `depth`, tokens ascending."""
    groups: dict[int, list[int]] = {}
    for member in members:
        if depth >= len(names[member]):
            others = [other for other in members if other != member]
            raise PlannerError(
                f"the names of interests {member} and {others[0]} are the same to the tokenizer",
                hint="make the descriptions differ, or fine-tune again to teach the tokenizer their words",
            )
        groups.setdefault(int(names[member][depth]), []).append(member)
    return sorted(groups.items())


def _skip_forced(names: Sequence[Sequence[int]], members: list[int], depth: int) -> tuple[list[int], int]:
    """Follow single children: the members and the depth where they first disagree."""
    while len(members) > 1 and len(_children(names, members, depth)) == 1:
        depth += 1
    return members, depth
