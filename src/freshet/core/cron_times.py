"""Times of a cron expression in a time zone, as Debian's cron keeps them when clocks change.

What runs at a fixed hour runs once: where the clock jumps over it, right after the jump; where the hour comes
twice, the first time. What runs every so many minutes or hours goes by time as it passes; cronsim passes over
some of these times on a day on which clocks change by half an hour, which they do on Lord Howe Island alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

FIELDS = 5
OFTEN = timedelta(minutes=15)
"""Between two times of an expression, at least."""
LOOKED_AT = 200
"""Times that are compared with it."""
BACK = timedelta(days=2)
"""More than any change of clocks moves a time."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression of five fields; `Cron.of` checks it.

    Attributes:
        text: minute, hour, day of the month, month, day of the week.
        zone: in which its times are.
    """

    text: str
    zone: ZoneInfo

    @classmethod
    def of(cls, text: str, zone: ZoneInfo) -> Cron:
        """Check an expression.

        Raises:
            ValueError: it is none, never comes, or comes more often than every 15 minutes.
        """
        _check(text)
        return cls(text, zone)

    def after(self, moment: datetime) -> datetime:
        """The first of its times after a moment (UTC)."""
        return next(self._after(moment))

    def until(self, moment: datetime) -> datetime | None:
        """The last of its times at or before a moment (UTC); None where there was none in 50 years."""
        local = (moment + timedelta(seconds=1)).astimezone(self.zone)
        near = next(CronSim(self.text, local, reverse=True), None)
        if near is None:
            return None
        last = None
        for time in self._after(min(near.astimezone(UTC), moment) - BACK):
            if time > moment:
                break
            last = time
        return last

    def _after(self, moment: datetime) -> Iterator[datetime]:
        """All its times after a moment, ascending, each once."""
        last = moment
        for local in CronSim(self.text, moment.astimezone(self.zone)):
            time = local.astimezone(UTC)
            if time > last:  # in an hour that comes twice, cron's own next one may lie before
                yield time
                last = time


@cache
def _check(text: str) -> None:
    """Raises ValueError where it is none; changes of clocks don't make it one that comes too often."""
    fields = len(text.split())
    if fields != FIELDS:
        raise ValueError(
            f"{text!r} has {fields} fields, expected 5: minute hour day-of-month month day-of-week"
        )
    try:
        times = list(islice(CronSim(text, datetime(2024, 1, 1, tzinfo=UTC)), LOOKED_AT))
    except CronSimError as error:
        raise ValueError(f"{text!r}: {error}") from None
    if not times:
        raise ValueError(f"{text!r} names no day that there is")
    if any(later - earlier < OFTEN for earlier, later in pairwise(times)):
        raise ValueError(f"{text!r} comes more often than every {OFTEN.seconds // 60} minutes")
