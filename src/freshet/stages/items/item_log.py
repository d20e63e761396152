"""Engagements with items, read from the days of a log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.core.errors import ConfigError, InputError
from freshet.core.time import DAY
from freshet.storage.sql import connect

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
    listed = [str(day) for day in days]
    numbers = pa.table({"item": pa.array(ids, pa.string()), "number": np.arange(len(ids), dtype=np.int32)})
    source = "read_parquet($days, hive_partitioning = false, union_by_name = true)"
    with connect() as db:
        db.execute("SET TimeZone='UTC'; SET enable_progress_bar = false")
        db.register("numbers", numbers)
        try:
            rows = db.execute(
                'SELECT (dense_rank() OVER (ORDER BY e."user") - 1)::BIGINT AS who, '
                "epoch_us(e.time)::BIGINT AS time, n.number AS number "
                f'FROM (SELECT DISTINCT "user", "time", item FROM {source} '
                f"WHERE coalesce(({positive_sql or 'true'}), false)) AS e JOIN numbers AS n USING (item) "
                "ORDER BY who, time, number",
                {"days": listed},
            ).fetchnumpy()
            seen = db.execute(
                f"SELECT n.number AS number, min(epoch_us(e.time)::BIGINT // {DAY})::INTEGER AS first "
                f"FROM {source} AS e JOIN numbers AS n USING (item) GROUP BY n.number",
                {"days": listed},
            ).fetchnumpy()
        except duckdb.IOException as error:
            raise InputError(f"event days cannot be read: {error}", hint="import the events again") from None
        except (duckdb.BinderException, duckdb.ParserException, duckdb.ConversionException) as error:
            raise ConfigError(
                f"the positive rule `{positive_sql}` does not fit the events: {error}",
                hint="it may compare the events' columns with constants, such as `value >= 7`",
            ) from None
    first = np.full(len(ids), UNSEEN, np.int32)
    first[np.asarray(seen["number"])] = np.asarray(seen["first"])
    return Engagements(
        np.asarray(rows["who"]), np.asarray(rows["time"]), np.asarray(rows["number"]).astype(np.int32), first
    )
