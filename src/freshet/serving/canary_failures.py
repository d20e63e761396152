"""Canaries that fail to answer: after a few failures they are asked no more, in this process."""

from __future__ import annotations

from collections import Counter

from freshet.core.errors import FreshetError

MOST = 3
"""Queries that a canary may fail before it is given up here."""
BROKEN = (FreshetError, ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)
"""What computing with a damaged or mistaken part of a release raises."""


class CanaryFailures:
    """Counts them by experiment.

    Users of a canary that was given up are answered, and logged, as if it didn't run. So it loses users, the
    others don't, and the test of how users are split takes it back at the next look.
    """

    def __init__(self) -> None:
        self._by_experiment: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """Queries that canaries failed to answer."""
        return self._by_experiment.total()

    def failed(self, experiment: str) -> None:
        """Count a query."""
        self._by_experiment[experiment] += 1

    def given_up(self, experiment: str) -> bool:
        """Whether its release is asked no more."""
        return self._by_experiment.get(experiment, 0) >= MOST
