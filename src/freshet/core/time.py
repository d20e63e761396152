"""Moments and days, as text and as numbers.

All times are UTC. Within arrays and files a time is a number of microseconds since 1970, a day a number of
days since 1970.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000
"""Microseconds."""


def utc_now() -> datetime:
    """The current time, with its zone."""
    return datetime.now(UTC)


Clock = Callable[[], int]
"""Microseconds since 1970 (UTC), now; a simulated world has its own."""


def system_clock() -> int:
    """Microseconds since 1970 (UTC)."""
    return time.time_ns() // 1000


EPOCH = date(1970, 1, 1)
"""Day 0."""

_START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AsOf:
    """A point in time at a UTC midnight; steps read only events strictly before it."""

    day: date

    @classmethod
    def parse(cls, text: str) -> AsOf:
        """`2013-06-01` or any ISO time; a time within a day is rounded down, since counts are daily.

        Raises:
            ValueError: the text is no ISO date or time.
        """
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
        return cls(moment.date())

    @classmethod
    def from_day_number(cls, number: int) -> AsOf:
        """The midnight at which a day begins, by its number since 1970."""
        return cls(EPOCH + timedelta(days=int(number)))

    @property
    def day_number(self) -> int:
        """Days since 1970."""
        return day_number(self.day)

    @property
    def moment(self) -> datetime:
        """The midnight, with its zone."""
        return datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)

    @property
    def microseconds(self) -> int:
        """Microseconds since 1970."""
        return midnight(self.day)

    def plus(self, days: int) -> AsOf:
        """So many days later."""
        return AsOf(self.day + timedelta(days=days))

    def minus(self, days: int) -> AsOf:
        """So many days earlier."""
        return AsOf(self.day - timedelta(days=days))

    def __str__(self) -> str:
        return self.day.isoformat()


def day_name(number: int) -> str:
    """ISO date of a day, by its number since 1970."""
    return str(EPOCH + timedelta(days=number))


def day_number(day: date | str) -> int:
    """Days since 1970 of a date, or of an ISO date."""
    return ((date.fromisoformat(day) if isinstance(day, str) else day) - EPOCH).days


def midnight(day: date) -> int:
    """Microseconds since 1970 at which a day begins."""
    return day_number(day) * DAY


def date_of(microseconds: int) -> date:
    """The day in which a time lies."""
    return EPOCH + timedelta(days=microseconds // DAY)


def microseconds_of(moment: datetime) -> int:
    """Microseconds since 1970 of a time with a zone, exactly."""
    return (moment - _START) // timedelta(microseconds=1)


def datetime_of(microseconds: int) -> datetime:
    """The time, exactly."""
    return _START + timedelta(microseconds=microseconds)
