"""The definition of a transition in plain Python, as slow and as obvious as possible."""

from __future__ import annotations

from collections import defaultdict

Engagement = tuple[str, int, int]
"""(user, microseconds, interest)"""

DAY = 86_400_000_000


def transitions(
    engagements: set[Engagement], novelty_days: int | None
) -> set[tuple[str, int, int, frozenset[int], int]]:
    """(user, time, successor, known interests, newest known interest's age rank count) per transition.

    The order within a step is a shuffle, so the reference reports what does not depend on it.
    """
    horizon = float("inf") if novelty_days is None else novelty_days * DAY
    steps: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for user, time, interest in engagements:
        steps[user][time].add(interest)
    found = set()
    for user, by_time in steps.items():
        for now, interests in by_time.items():
            last = {
                i: max(t for t, s in by_time.items() if t < now and i in s)
                for i in {i for t, s in by_time.items() if t < now for i in s}
            }
            known = frozenset(i for i, t in last.items() if now - t <= horizon)
            found |= {(user, now, i, known, len(known)) for i in interests - known}
    return found


def recency(engagements: set[Engagement], user: str, now: int) -> dict[int, int]:
    """Interest -> when the user last engaged it before `now`."""
    last: dict[int, int] = {}
    for who, time, interest in engagements:
        if who == user and time < now:
            last[interest] = max(time, last.get(interest, 0))
    return last
