"""Whether the times of a log can be true: what a file looks like whose times were misread.

Times before 1980 and after now are refused row by row; here is what may be true, and is told.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise

from freshet.stages.events.merging import Incoming
from freshet.stages.events.snapshots import Snapshot

_GAP = 5 * 365  # days without an event between two eras; a log that pauses for so long is rare
_MANY = 100  # events that a log seldom has on its only day


def doubts(before: Snapshot, after: Snapshot, incoming: Incoming, files: int) -> list[str]:
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
