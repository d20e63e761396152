"""The events of days of a log that name known items, as relations to ask in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from freshet.core.errors import ConfigError, InputError
from freshet.storage.sql import connect, parquet


@dataclass(frozen=True, slots=True)
class ItemEvents:
    """A connection, and what to write behind FROM there: relations (user, time, item) of events.

    They are no views: to make one, DuckDB opens every file, and a query opens it again.

    Attributes:
        named: every event; `item` is the number of a named item.
        engaged: those that the positive rule calls an engagement.
    """

    db: duckdb.DuckDBPyConnection
    named: str
    engaged: str


@contextmanager
def item_events(days: Sequence[Path], positive_sql: str, ids: Sequence[str]) -> Iterator[ItemEvents]:
    """The events of some days that name known items.

    Args:
        days: files of the log, at least one.
        positive_sql: the positive rule; '' = every event is an engagement, a null is none.
        ids: V item ids, in the order of their numbers.

    Raises:
        InputError: a day can't be read.
        ConfigError: the positive rule does not fit the columns.
    """
    numbers = pa.table({"id": pa.array(ids, pa.string()), "number": np.arange(len(ids), dtype=np.int32)})
    rule = f"coalesce(({positive_sql or 'true'}), false)"
    events = parquet(list(days))
    kept = f"(SELECT * FROM {events} WHERE {rule})"  # the rule may name any column of the events
    with connect() as db:
        db.execute("SET TimeZone='UTC'; SET enable_progress_bar = false")
        db.register("numbers", numbers)
        try:
            yield ItemEvents(db, _numbered(events), _numbered(kept))
        except duckdb.IOException as error:
            raise InputError(f"event days cannot be read: {error}", hint="import the events again") from None
        except (duckdb.BinderException, duckdb.ParserException, duckdb.ConversionException) as error:
            raise ConfigError(
                f"the positive rule `{positive_sql}` does not fit the events: {error}",
                hint="it may compare the events' columns with constants, such as `value >= 7`",
            ) from None


def _numbered(events: str) -> str:
    return (
        f'(SELECT e."user", e."time", n.number AS item FROM {events} AS e JOIN numbers AS n ON e.item = n.id)'
    )
