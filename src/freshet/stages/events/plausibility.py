"""Whether a log can be true: signs of misread times, users who are no persons, and stray days at its ends.

Windows, half-lives and the moment that a run is of follow from the first and the last day of a log; one row
with a wrong date must not decide that. A day at either end is passed over as *stray* while it is

- thin: it has fewer than a tenth of the users, or events, of a usual day of the seven beside it, or
- far off: it lies farther from the next day than a week and twice the longest gap of the year beside it, with
  less than a hundredth of all events on its side.

Its events stay in the log; only the span doesn't follow them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from freshet.stages.events.event_days import DayFile
from freshet.stages.events.snapshots import Snapshot
from freshet.storage import sql

if TYPE_CHECKING:
    import duckdb

    from freshet.stages.events.merging import Incoming

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
    with pq.ParquetFile(path) as file:  # a database takes longer to load than this to read
        users = [batch.column(0).unique() for batch in file.iter_batches(columns=["user"])]
    return int(pc.count_distinct(pa.chunked_array(users)).as_py()) if users else 0


_GAP = 5 * 365  # days without an event between two eras; a log that pauses for so long is rare
_MANY = 100  # events that a log seldom has on its only day


def find_doubts(before: Snapshot, after: Snapshot, incoming: Incoming, files: int) -> list[str]:
    """What a person should look at, in words, after an import.

    Args:
        before, after: the log without and with the import.
        incoming: its good rows.
        files: how many files with events it had.
    """
    found = [_between(after, gap) for gap in _gaps(after) if gap not in _gaps(before)]
    if incoming.rows >= _MANY and len(incoming.days) == 1 and (not before.days or files > 1):
        moment = ", at the same moment" if incoming.first == incoming.last else ""
        found.append(
            f"all {incoming.rows:,} events are of one day, {next(iter(incoming.days))}{moment}: if they are "
            "not, their times were misread ([events] time_format, [events.columns] time)"
        )
    return found


def _gaps(log: Snapshot) -> list[tuple[date, date]]:
    """Last day before and first day after each stretch without events that is years long."""
    days = [day.day for day in log.days]
    return [(last, first) for last, first in pairwise(days) if (first - last).days > _GAP]


def _between(log: Snapshot, gap: tuple[date, date]) -> str:
    early = sum(day.rows for day in log.days if day.day <= gap[0])
    return (
        f"the log has {early:,} events up to {gap[0]}, {log.rows - early:,} from {gap[1]} on, none "
        "between: if that is wrong, times of one of them were misread ([events] time_format)"
    )


_FEWEST_USERS = 50  # of fewer users, one may well hold much
_SHARE = 0.05
_TIMES_MEAN = 5


def note_heavy_user(connection: duckdb.DuckDBPyConnection, events: str) -> tuple[str, ...]:
    """A sentence about such an id, the largest one; none if there is none.

    An id is named if it has more than 5 % of the events of at least 50 users, and five times the mean.
    """
    total, users, largest, user = sql.row(
        connection,
        f"""SELECT coalesce(sum(n), 0), count(*), coalesce(max(n), 0), max_by("user", n)
            FROM (SELECT "user", count(*) AS n FROM ({events}) GROUP BY "user")""",
    )
    if users < _FEWEST_USERS or largest <= max(_SHARE, _TIMES_MEAN / users) * total:
        return ()
    return (
        f"user {user!r} has {largest:,} of {total:,} events ({largest / total:.0%}): if that is no person, "
        "add it to [events] missing and import again with --replace",
    )
