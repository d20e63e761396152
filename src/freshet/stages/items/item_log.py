"""Engagements with items, read from the days of a log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.time import DAY
from freshet.storage.item_events import item_events

UNSEEN = np.int32(2**30)
"""First day of an item that no event names."""


@dataclass(frozen=True, slots=True)
class Engagements:
    """Who engaged which of V items when; n rows sorted by user, time and item, each (user, time, item) once.

    Attributes:
        user: (n,) number of the user.
        time: (n,) microseconds since 1970.
        item: (n,) number of the item.
        first: (V,) day since 1970 of the first event that names the item, engagement or not; UNSEEN = none.
    """

    user: NDArray[np.int64]
    time: NDArray[np.int64]
    item: NDArray[np.int32]
    first: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.item)

    @property
    def day(self) -> NDArray[np.int32]:
        """(n,) days since 1970."""
        return np.asarray(self.time // DAY, np.int32)

    def before(self, day: int) -> Engagements:
        """Those before a day, which must be all that is asked about."""
        kept = self.day < day
        first = np.where(self.first < day, self.first, UNSEEN).astype(np.int32)
        return Engagements(self.user[kept], self.time[kept], self.item[kept], first)

    def among(self, kept: NDArray[np.bool_]) -> Engagements:
        """The same, items numbered among the (V,) chosen ones; no other may be engaged."""
        number = (np.cumsum(kept) - 1).astype(np.int32)
        return Engagements(self.user, self.time, number[self.item], self.first[kept])


def engagements(days: Sequence[Path], positive_sql: str, ids: Sequence[str]) -> Engagements:
    """All engagements of the days with the named items.

    Args:
        positive_sql: the positive rule; '' = every event is an engagement, a null is none.
        ids: V item ids, in the order of their numbers.

    Raises:
        InputError: a day can't be read.
        ConfigError: the positive rule does not fit the columns.
    """
    with item_events(days, positive_sql, ids) as events:
        rows = events.db.execute(
            'SELECT (dense_rank() OVER (ORDER BY "user") - 1)::BIGINT AS who, '
            'epoch_us("time")::BIGINT AS time, item AS number '
            f"FROM (SELECT DISTINCT * FROM {events.engaged}) ORDER BY who, time, number"
        ).fetchnumpy()
        seen = events.db.execute(
            f'SELECT item AS number, min(epoch_us("time")::BIGINT // {DAY})::INTEGER AS first '
            f"FROM {events.named} GROUP BY item"
        ).fetchnumpy()
    first = np.full(len(ids), UNSEEN, np.int32)
    first[np.asarray(seen["number"])] = np.asarray(seen["first"])
    return Engagements(
        np.asarray(rows["who"]), np.asarray(rows["time"]), np.asarray(rows["number"]).astype(np.int32), first
    )
