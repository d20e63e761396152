"""Arrays, contexts and moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32] | NDArray[np.float64]
IntArray = NDArray[np.int16] | NDArray[np.int32] | NDArray[np.int64]
BoolArray = NDArray[np.bool_]

RECENT = 10
"""How many recent distinct interests a transition remembers (the mixture's widest view of a user)."""

Context = tuple[int, ...]
"""Interest indices, most recent last, at most k long; `()` is a user with no recent interest."""


@dataclass(frozen=True, slots=True)
class AsOf:
    """A point in time at a UTC midnight; steps read only events strictly before it."""

    day: date

    @classmethod
    def parse(cls, text: str) -> AsOf:
        """`2013-06-01` or any ISO time; a time within a day is rounded down, since counts are daily."""
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
        return cls(moment.date())

    @property
    def moment(self) -> datetime:
        return datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)

    def minus(self, days: int) -> AsOf:
        return AsOf(self.day - timedelta(days=days))

    def __str__(self) -> str:
        return self.day.isoformat()
