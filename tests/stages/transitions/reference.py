"""The definition of a transition in plain Python, as slow and as obvious as possible."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

Engagement = tuple[str, int, int]
"""(user, microseconds, interest)"""

Transition = tuple[str, int, int, tuple[frozenset[int], ...], frozenset[int]]
"""(user, microseconds, successor, recent interests, known interests).

Recent interests are in groups, those engaged last first: interests of one step have no order among themselves.
"""

DAY = 86_400_000_000


def transitions(engagements: Collection[Engagement], novelty_days: int | None) -> set[Transition]:
    horizon = float("inf") if novelty_days is None else novelty_days * DAY
    steps: dict[tuple[str, int], set[int]] = defaultdict(set)
    for user, time, interest in engagements:
        steps[user, time].add(interest)
    found = set()
    for (user, now), interests in steps.items():
        last: dict[int, int] = {}
        for who, time, interest in engagements:
            if who == user and now - horizon <= time < now:
                last[interest] = max(time, last.get(interest, time))
        groups: dict[int, set[int]] = defaultdict(set)
        for interest, time in last.items():
            groups[time].add(interest)
        recent = tuple(frozenset(groups[time]) for time in sorted(groups, reverse=True))
        found |= {(user, now, successor, recent, frozenset(last)) for successor in interests - last.keys()}
    return found


def counts(found: set[Transition], length: int) -> dict[tuple[int, ...], int]:
    """(*context, successor) -> transitions, of contexts of exactly `length`; needs steps of one interest."""
    out: dict[tuple[int, ...], int] = defaultdict(int)
    for _, _, successor, recent, _ in found:
        if len(recent) >= length:
            latest = [next(iter(group)) for group in recent[:length]]
            out[(*reversed(latest), successor)] += 1
    return dict(out)
