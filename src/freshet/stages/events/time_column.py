"""Which of a file's columns tells when an event happened, where several could."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import duckdb

from freshet.core import config
from freshet.core.errors import InputError
from freshet.core.time import DAY
from freshet.stages.events import sql
from freshet.stages.events.columns import time_like
from freshet.stages.events.deciding import Undecided
from freshet.stages.events.reading import Table
from freshet.stages.events.times import Clock, clock

_SAMPLE = 1_000


def chosen(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    candidates: tuple[str, ...],
    settings: config.Events,
    now: datetime,
    orders: frozenset[str] = frozenset(),
) -> Clock:
    """The clock of the first candidate with times of day, else of the first with dates; its notes say which.

    Args:
        candidates: columns of the table, the most wanted first; at least one.
        now, orders: as for `clock`.

    Raises:
        InputError: no candidate can be a time; of several, what is wrong with the first.
        Undecided: as for `clock`.
    """
    if len(candidates) == 1:
        return _told(table, settings, clock(connection, table, candidates[0], settings, now, orders))
    in_utc = settings.model_copy(update={"timezone": "UTC"})  # a bare date is then midnight
    found, problems = [], []
    for column in candidates:
        try:
            found.append(
                (_rank(connection, table, clock(connection, table, column, in_utc, now, orders)), column)
            )
        except Undecided:
            raise  # it may be the better one, and another file may settle it
        except InputError as error:
            problems.append(error)
    if not found:
        raise problems[0]
    _, column = min(found, key=lambda ranked: ranked[0])
    return _told(table, settings, clock(connection, table, column, settings, now, orders))


def _rank(connection: duckdb.DuckDBPyConnection, table: Table, read: Clock) -> int:
    """0 for a column whose first rows have times of day, 1 for one of bare dates, 2 for one without times."""
    times, exact = sql.row(
        connection,
        f"""SELECT count(moment), count_if(epoch_us(moment) % {DAY} <> 0)
            FROM (SELECT {read.time} AS moment FROM ({table.query}) LIMIT {_SAMPLE})
            WHERE moment >= TIMESTAMP '{read.earliest}'""",
    )
    return 0 if exact else 1 if times else 2


def _told(table: Table, settings: config.Events, read: Clock) -> Clock:
    """The clock with a note of the column, if it isn't named as configured or another may be better."""
    others = [repr(column) for column in time_like(table) if column != read.column]
    notes = list(read.notes)
    if read.column.lower() != settings.columns.time.lower():
        rather = f", not {', '.join(others)}" if others else ""
        notes.insert(0, f"{table.path.name}: column {read.column!r} read as time{rather}")
    elif read.bare and others:
        notes.append(
            f"{table.path.name}: {read.column!r} has no time of day; [events.columns] time may be "
            f"{' or '.join(others)}"
        )
    return replace(read, notes=tuple(notes))
