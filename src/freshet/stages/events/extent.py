"""From when until when a log really reaches: one row with a wrong date must not decide that.

Windows, half-lives and the moment that a run is of follow from the first and the last day of a log. A day at
either end is passed over as *stray* while it is

- thin: it has fewer than a tenth of the users, or events, of a usual day of the seven beside it, or
- far off: it lies farther from the next day than a week and twice the longest gap of the year beside it, with
  less than a hundredth of all events on its side.

Its events stay in the log; only the span doesn't follow them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from freshet.stages.events import sql
from freshet.stages.events.days import DayFile
from freshet.storage import database

THIN = 0.1
"""Share of the users, or events, of a usual day below which a day at an end is no day of the log."""
BESIDE = 7
"""Days with events that a day at an end is compared with."""
FAR = 7
"""Days of silence that may always be part of a log."""
FEW = 0.01
"""Share of all events that may lie beyond a long silence without being part of the log."""


def body(days: Sequence[DayFile], users: Callable[[DayFile], int] | None = None) -> tuple[DayFile, ...]:
    """A log's days without stray ones at either end; in order of time, at least one where there are any.

    Args:
        days: in order of time.
        users: how many different users a day has; read from its file by default.
    """
    count = users or (lambda day: users_of(day.path))
    total = sum(day.rows for day in days)
    rest = _without_end([*days], total, count)
    return tuple(reversed(_without_end(rest[::-1], total, count)))


def _without_end(days: list[DayFile], total: int, users: Callable[[DayFile], int]) -> list[DayFile]:
    """Days, in either order of time, without the stray ones that come last."""
    days = days[: _first_long_gap(days, total)]
    while len(days) > 1 and _is_thin(days[-1], days[-1 - BESIDE : -1], users):
        days = days[:-1]
    return days


def _is_thin(day: DayFile, beside: list[DayFile], users: Callable[[DayFile], int]) -> bool:
    usual = sorted(beside, key=lambda one: one.rows)[len(beside) // 2]
    return day.rows < THIN * usual.rows or users(day) < THIN * users(usual)


def _first_long_gap(days: list[DayFile], total: int) -> int:
    """How many days come before a silence that too few events follow; all of them where there is none."""
    after, keep = 0, len(days)
    for index in range(len(days) - 1, 0, -1):
        after += days[index].rows
        if after >= FEW * total:
            break
        silence = abs(days[index].day - days[index - 1].day)
        if silence > timedelta(days=FAR) and silence > 2 * _longest_gap(days[:index]):
            keep = index
    return keep


def _longest_gap(days: Sequence[DayFile]) -> timedelta:
    """Between neighbours in the year before the last of them."""
    year = [day.day for day in days if abs(day.day - days[-1].day) <= timedelta(days=365)]
    return max((abs(b - a) for a, b in pairwise(year)), default=timedelta(days=1))


@lru_cache(maxsize=4096)
def users_of(path: Path) -> int:
    """Different users of a day file, whose name stands for its content."""
    with database.connect() as db:
        return int(sql.row(db, f'SELECT count(DISTINCT "user") FROM {sql.parquet([path])}')[0])
