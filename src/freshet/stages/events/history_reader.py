"""What days of the log say of every user: the items engaged last, and when each interest was engaged last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.core.types import REMEMBERED, History, item_key, user_key
from freshet.stages.events.event_days import DayFile
from freshet.storage import sql

_USERS = 20_000
"""Users held in Python at a time."""


class HistoryReader:
    """Reads histories out of day files.

    Args:
        db: a connection that bounds memory.
        assignment: Parquet of (item, interest index).
        ids: (N,) stable ids of the interests.
        positive: the positive rule in SQL.
        since: interests engaged before this (microseconds since 1970) are left out.
    """

    def __init__(
        self,
        db: duckdb.DuckDBPyConnection,
        assignment: Path,
        ids: NDArray[np.int32],
        positive: str,
        since: int,
    ) -> None:
        self._db = db
        self._positive = positive
        self._since = since
        db.register("ids", pa.table({"index": np.arange(len(ids), dtype=np.int16), "id": ids}))
        db.execute(
            f"CREATE TABLE assigned AS SELECT item, id FROM {sql.parquet([assignment])} "
            "JOIN ids ON interest = index"
        )
        db.execute("CREATE TABLE keys (item VARCHAR, key UBIGINT, interest INTEGER)")

    def read(self, days: Sequence[DayFile], log: Sequence[DayFile]) -> Iterator[tuple[bytes, History]]:
        """Key and history of every user who engaged something on these days, in no order.

        Args:
            log: all days; a column of the rule that these days lack is empty in them.
        """
        engaged = self._engaged(days, log)
        self._name_items(engaged)
        # listing by user keeps each user in one row; sorting inside a list costs no memory beside it
        found = self._db.sql(
            f"""WITH engaged AS ({engaged}),
            named AS (
                SELECT u, key, k.interest, epoch_us(t) AS t FROM engaged JOIN keys AS k USING (item)
            ),
            latest AS (SELECT u, key, max(t) AS t FROM named GROUP BY u, key),
            last AS (
                FROM latest
                QUALIFY row_number() OVER (PARTITION BY u ORDER BY t DESC, key DESC) <= {REMEMBERED}
            ),
            items AS (
                SELECT u, list(key ORDER BY t, key) AS keys, list(t ORDER BY t, key) AS times
                FROM last GROUP BY u
            ),
            interests AS (
                SELECT u, list(interest ORDER BY interest) AS ids, list(t ORDER BY interest) AS taken FROM (
                    SELECT u, interest, max(t) AS t FROM named
                    WHERE interest >= 0 AND t >= {self._since} GROUP BY ALL
                ) GROUP BY u
            )
            SELECT u, keys, times, ids, taken FROM items LEFT JOIN interests USING (u)"""
        ).to_arrow_reader(_USERS)
        for batch in found:
            yield from _histories(batch)

    def _engaged(self, days: Sequence[DayFile], log: Sequence[DayFile]) -> str:
        """SQL: (u, item, t) of the engagements of some days."""
        query = 'SELECT "user" AS u, item, "time" AS t FROM {source} WHERE coalesce(({rule}), false)'
        source = sql.parquet([day.path for day in days])
        try:
            self._db.sql(query.format(source=source, rule=self._positive))
        except duckdb.BinderException:  # the rule reads a column that these days lack and others have
            everything = sql.parquet([day.path for day in log])
            source = f"((FROM {everything} WHERE false) UNION ALL BY NAME (FROM {source}))"
        return query.format(source=source, rule=self._positive)

    def _name_items(self, engaged: str) -> None:
        """Give items that have none yet their key, and what interest they have."""
        new = (
            self._db.sql(f"SELECT DISTINCT item FROM ({engaged}) WHERE item NOT IN (SELECT item FROM keys)")
            .to_arrow_table()["item"]
            .to_pylist()
        )
        named = pa.table(
            {"item": pa.array(new, pa.string()), "key": np.array([item_key(i) for i in new], np.uint64)}
        )
        self._db.register("named", named)
        self._db.execute(
            "INSERT INTO keys SELECT item, key, coalesce(id, -1) FROM named LEFT JOIN assigned USING (item)"
        )
        self._db.unregister("named")


def _histories(batch: pa.RecordBatch) -> Iterator[tuple[bytes, History]]:
    items, item_times, interests, interest_times = (_cut(column) for column in batch.columns[1:])
    for row, user in enumerate(batch.column(0).to_pylist()):
        yield (
            user_key(user),
            History(
                items[row].astype(np.uint64),
                item_times[row].astype(np.int64),
                interests[row].astype(np.int32),
                interest_times[row].astype(np.int64),
            ),
        )


def _cut(column: pa.ListArray) -> list[NDArray[np.int64]]:
    """The numbers of each row; none where it is null."""
    return np.split(
        column.flatten().to_numpy(zero_copy_only=False), np.cumsum(column.value_lengths().fill_null(0))[:-1]
    )
