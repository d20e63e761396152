"""Refresh every so many days."""

from __future__ import annotations

from dataclasses import dataclass

from freshet.core.ports import Looks
from freshet.core.types import CadenceDecision, Signs


@dataclass(frozen=True, slots=True)
class Fixed:
    """The statistic is the age of the table in days."""

    days: int

    @property
    def looks(self) -> Looks:
        return Looks()

    def decide(self, signs: Signs) -> CadenceDecision:
        """Due once the table is `days` old."""
        due = signs.age >= self.days
        why = (
            f"its table is {signs.age} days old, a new one is due every {self.days}"
            if due
            else f"it is younger than {self.days} days: nothing is due"
        )
        return CadenceDecision(due, float(signs.age), float(self.days), why)
