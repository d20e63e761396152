"""Hours of the week in which nothing is to begin, such as `Mon-Fri 08:00-10:00`.

They go by the clock on the wall of a time zone: an hour that comes twice is in them twice, one that clocks
jump over is in none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60
WEEK = 7 * DAY
_FORM = re.compile(r"(?:(?P<days>[a-z,\s-]+?)\s+)?(?P<start>[0-9:]{4,5})\s*-\s*(?P<end>[0-9:]{4,5})")
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of some days of the week; one across midnight belongs to the day on which it begins.

    Attributes:
        days: Monday is 0.
        start, end: minutes since midnight, the end not included; end <= start: the next day.
    """

    days: frozenset[int]
    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read `[DAYS ]HH:MM-HH:MM`, where DAYS is such as `Mon-Fri,Sun`; none = every day.

        Raises:
            ValueError: it is none.
        """
        found = _FORM.fullmatch(text.strip().lower())
        if found is None:
            raise ValueError(f"{text!r} is no window of hours, expected such as 'Mon-Fri 08:00-10:00'")
        days = _days(found["days"], text) if found["days"] else frozenset(range(7))
        start, end = _minutes(found["start"], text), _minutes(found["end"], text)
        if start in (end, DAY):
            raise ValueError(f"{text!r} begins where it ends; a whole day is 00:00-24:00")
        return cls(days, start, end)

    def holds(self, local: datetime) -> bool:
        """Whether it holds a time on the wall."""
        return self.holds_minute(local.weekday(), local.hour * 60 + local.minute)

    def holds_minute(self, day: int, minute: int) -> bool:
        """Whether it holds a minute of a day of the week."""
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        return (day in self.days and minute >= self.start) or (
            (day - 1) % 7 in self.days and minute < self.end
        )


def check_windows(windows: Sequence[Window]) -> None:
    """Raises ValueError where windows leave no minute of the week."""
    if all(any(one.holds_minute(*divmod(minute, DAY)) for one in windows) for minute in range(WEEK)):
        raise ValueError("blackout leaves no minute of the week in which a run could begin")


def blackout_until(windows: Sequence[Window], zone: ZoneInfo, moment: datetime) -> datetime | None:
    """When the blackout of a moment ends (UTC, a whole minute); None where nothing is blacked out then.

    Args:
        windows: those of `check_windows`.
    """
    if not any(one.holds(moment.astimezone(zone)) for one in windows):
        return None
    time = moment.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE
    while any(one.holds(time.astimezone(zone)) for one in windows):
        time += _MINUTE
    return time


def _days(text: str, whole: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (last if dash else first) not in DAYS:
            raise ValueError(f"{whole!r}: {part!r} is no day or range of days (Mon, Tue, ..., Sun)")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return frozenset(found)


def _minutes(text: str, whole: str) -> int:
    found = re.fullmatch(r"([01]?[0-9]|2[0-4]):([0-5][0-9])", text)
    minutes = int(found[1]) * 60 + int(found[2]) if found else DAY + 1
    if minutes > DAY:
        raise ValueError(f"{whole!r}: {text} is no time of the day (00:00 to 24:00)")
    return minutes
