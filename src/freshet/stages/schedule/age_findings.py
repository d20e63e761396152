"""What is found of a table's age: how far the world has moved since, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass

Z = 1.96


@dataclass(frozen=True, slots=True)
class DriftSince:
    """The days since a refresh under counts of the time before it.

    Attributes:
        days: that were compared, and `transitions` in them.
        statistic: the largest standardised surprise of any group of contexts.
        null: 95 % of worlds in which nothing but chance differs stay below this.
        p_value: chance of so large a statistic without drift.
    """

    days: int
    transitions: int
    statistic: float
    null: float
    p_value: float


@dataclass(frozen=True, slots=True)
class LossByAge:
    """Hits among the first five that are lost per transition and day of the table's age.

    Attributes:
        value: the estimate; `error`: its standard error, clustered by user.
        transitions: evaluated twice behind it.
        longest: days of age beyond which nothing was seen, so that nothing is claimed.
    """

    value: float
    error: float
    transitions: int
    longest: int

    def per_thousand(self, age: float) -> tuple[float, float, float]:
        """Hits lost of 1,000 answers at an age in days: estimate and 95 % interval, none below zero."""
        scale = 1000 * min(age, self.longest)
        found = (self.value, self.value - Z * self.error, self.value + Z * self.error)
        value, low, high = (max(0.0, one * scale) for one in found)
        return value, low, high
