"""The interests as a tree of what is alike: the hierarchy they were cut from, with names for people."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from freshet.inspect.interest_listing import InterestLine, Listing

NAMING_WORDS = 3
"""Words of a branch's name."""
SHARED = 0.3
"""Share of a branch, by traffic, whose descriptions hold a word of its name."""
FEWEST = 2
"""Interests below which a branch is no branch: its interests stand where it would."""


@dataclass(frozen=True, slots=True)
class Branch:
    """Interests that are alike.

    Attributes:
        key: its way from the root, such as `0-2`; '' = the root.
        name: the words that tell it from the others.
        traffic: share of all engagements; `interests` how many there are in it.
        branches: parts of it; `lines`: interests that are in none of these, busiest first.
    """

    key: str
    name: str
    traffic: float
    interests: int
    branches: tuple[Branch, ...]
    lines: tuple[InterestLine, ...]


def tree(listing: Listing, paths: Mapping[int, Sequence[int]]) -> Branch:
    """The tree of interests, busiest branches first; the root has no name.

    Args:
        paths: by an interest's stable id, the branch taken at each level; the last one leads to itself.
    """
    return _grown(
        "", [(line, tuple(paths[line.id])[:-1]) for line in listing.interests], _shares(listing.interests)
    )


_Rest = tuple[InterestLine, tuple[int, ...]]
"""An interest, and the rest of the way to it."""


def _grown(key: str, members: Sequence[_Rest], usual: Mapping[str, float]) -> Branch:
    lines = [line for line, _ in members]
    below: dict[int, list[_Rest]] = defaultdict(list)
    for line, way in members:
        if way:
            below[way[0]].append((line, way[1:]))
    loose = [line for line, way in members if not way]
    if len(below) == 1 and not loose:  # a level at which nothing parts
        [(step, only)] = below.items()
        return _grown(f"{key}-{step}".lstrip("-"), only, usual)
    branches = []
    for step, some in below.items():
        if len(some) < FEWEST:
            loose += [line for line, _ in some]
        else:
            branches.append(_grown(f"{key}-{step}".lstrip("-"), some, usual))
    return Branch(
        key,
        _name(lines, usual) if key else "",
        sum(line.traffic for line in lines),
        len(lines),
        tuple(sorted(branches, key=lambda branch: (-branch.traffic, branch.key))),
        tuple(sorted(loose, key=lambda line: (-line.traffic, line.id))),
    )


def _shares(lines: Sequence[InterestLine]) -> dict[str, float]:
    """By word, the share of these interests, weighed by traffic, whose description holds it."""
    found: dict[str, float] = defaultdict(float)
    total = sum(_weight(line) for line in lines)
    for line in lines:
        for word in set(line.description.split()):
            found[word] += _weight(line) / total
    return dict(found)


def _name(lines: Sequence[InterestLine], usual: Mapping[str, float]) -> str:
    """The words that many of them share and others don't; where there is none, the busiest ones' own."""
    shares = _shares(lines)
    scores = {
        word: share * math.log(share / usual[word]) for word, share in shares.items() if share >= SHARED
    }
    best = sorted((word for word in scores if scores[word] > 0), key=lambda word: (-scores[word], word))
    return " ".join(best[:NAMING_WORDS]) or " / ".join(line.description for line in lines[:2])


def _weight(line: InterestLine) -> float:
    return line.traffic + 1e-9
