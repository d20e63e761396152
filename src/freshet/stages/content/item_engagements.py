"""Who engaged which item when, and the items that a user engaged last before a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from freshet.core.user_numbers import keys
from freshet.storage.item_events import item_events

BATCH = 1_000_000
"""Events read at a time."""


@dataclass(frozen=True, slots=True)
class ItemEngagements:
    """n engagements, sorted by user, time and item.

    Attributes:
        user: (n,) number of the user, as in `Transitions`.
        time: (n,) microseconds since 1970.
        item: (n,) number of the item.
    """

    user: NDArray[np.uint64]
    time: NDArray[np.int64]
    item: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.item)

    def before(self, time: int) -> ItemEngagements:
        """Those strictly before a moment in microseconds since 1970."""
        kept = self.time < time
        return ItemEngagements(self.user[kept], self.time[kept], self.item[kept])

    def last(self, user: NDArray[np.uint64], time: NDArray[np.int64], most: int) -> NDArray[np.int32]:
        """(m, most) distinct items that users engaged last strictly before moments.

        Most recent last, right-aligned, -1 padded. Of items of one moment, the higher number counts as more
        recent: so do histories in serving, which order them by key (`types.History`).
        """
        out = np.full((len(user), most), -1, np.int32)
        _last(self.user, self.time, self.item, user, time, out)
        return out


def read_engagements(
    days: Sequence[Path], positive_sql: str, ids: Sequence[str], users: NDArray[np.uint64] | None = None
) -> ItemEngagements:
    """The engagements of days of the log with the named items.

    Args:
        positive_sql: the positive rule; '' = every event is an engagement, a null is none.
        ids: V item ids, in the order of their numbers.
        users: numbers of the users to read, None = all. Memory grows with what they engaged, and not with
            the log.

    Raises:
        InputError: a day can't be read.
        ConfigError: the positive rule does not fit the columns.
    """
    wanted = None if users is None else np.unique(users)
    parts = [(np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int32))]
    if days:
        with item_events(days, positive_sql, ids) as events:
            query = f'SELECT "user" AS u, epoch_us("time") AS t, item AS i FROM {events.engaged}'
            found = events.db.sql(query)
            parts += [_part(batch, wanted) for batch in found.to_arrow_reader(BATCH)]
    user, time, item = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((item, time, user))
    return ItemEngagements(user[order], time[order], item[order])


def _part(
    batch: pa.RecordBatch, wanted: NDArray[np.uint64] | None
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int32]]:
    user = keys(pa.chunked_array([batch.column("u")]))
    time, item = (batch.column(name).to_numpy(zero_copy_only=False) for name in ("t", "i"))
    if wanted is None:
        return user, time, item
    place = np.searchsorted(wanted, user)
    kept = place < len(wanted)
    kept[kept] = wanted[place[kept]] == user[kept]
    return user[kept], time[kept], item[kept]


@njit(cache=True, nogil=True)
def _last(users, times, items, user, time, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    most = out.shape[1]
    for row in range(len(user)):
        place = np.searchsorted(users, user[row], side="right") - 1
        found = 0
        while place >= 0 and users[place] == user[row] and found < most:
            fresh = times[place] < time[row]
            for i in range(found):
                if out[row, most - 1 - i] == items[place]:
                    fresh = False
            if fresh:
                out[row, most - 1 - found] = items[place]
                found += 1
            place -= 1
