"""Events of exposed users, day by day: what each adds to the metrics that count events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import duckdb
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.errors import ArtifactError, ConfigError
from freshet.core.time import date_of
from freshet.core.user_numbers import keys
from freshet.experiments.measurement.experiment_metrics import IMPRESSION, Metric
from freshet.experiments.stats.tally import Users
from freshet.stages.events import DayFile
from freshet.stages.events.columns import CANONICAL
from freshet.storage import sql

BEFORE_DAYS = 28
"""Days before an experiment's start from which covariates are taken."""


@dataclass(frozen=True, slots=True)
class Added:
    """What each user adds to a metric, in a day or in the time before.

    Attributes:
        y: (u,) to the numerator.
        d: (u,) to the denominator; None where it is not made of events.
    """

    y: NDArray[np.int64]
    d: NDArray[np.int64] | None


@dataclass(frozen=True)
class EventCounter:
    """Counts, for each exposed user, the events that pass the rules of metrics.

    Attributes:
        metrics: of the kind `events`.
    """

    db: duckdb.DuckDBPyConnection
    users: Users
    metrics: tuple[Metric, ...]

    def on(self, day: DayFile, metrics: Sequence[Metric], until: int) -> list[Added]:
        """What a day's events add to each of some metrics, from each user's first exposure on.

        Args:
            until: before when events count, in microseconds since 1970.
        """
        found = self._passing(day, metrics, self.users.first, until)
        by_rule = {rule: np.bincount(place, minlength=len(self.users)) for rule, place in found.items()}
        return [Added(by_rule[y], by_rule[d] if d else None) for y, d in (one.rules for one in metrics)]

    def before(self, days: Sequence[DayFile], start: int) -> list[NDArray[np.int32]]:
        """(q, u) covariates for each metric: the same counts in the weeks before the start.

        Of all events, whether they name an impression or not: any quantity from before serves, and before
        the start few events name one. q is 0 where the log holds nothing from before.
        """
        first = date_of(start) - timedelta(days=BEFORE_DAYS)
        past = [day for day in days if first <= day.day <= date_of(start)]
        all_events = [replace(one, attributed=False) for one in self.metrics]
        total: dict[str, NDArray[np.int32]] = {}
        for day in past:
            for rule, place in self._passing(day, all_events, 0, start).items():
                np.add.at(total.setdefault(rule, np.zeros(len(self.users), np.int32)), place, np.int32(1))
        if not any(some.any() for some in total.values()):
            return [np.zeros((0, len(self.users)), np.int32) for _ in self.metrics]
        return [np.stack([total[rule] for rule in one.rules if rule]) for one in all_events]

    def _passing(
        self, day: DayFile, metrics: Sequence[Metric], since: NDArray[np.int64] | int, until: int
    ) -> dict[str, NDArray[np.int64]]:
        """By rule the user's place of each event that passes it; `since` is by user, or one for all."""
        rules = list(dict.fromkeys(rule for one in metrics for rule in one.rules if rule))
        found = _flagged(self.db, day, rules, {IMPRESSION}.union(*(one.columns for one in metrics)))
        place = self.users.find(found.user)
        from_then = since if isinstance(since, int) else since[place]
        counts = (place >= 0) & (found.time >= from_then) & (found.time < until)
        place, flags = place[counts], found.flags[counts]
        return {rule: place[flags & (1 << bit) != 0] for bit, rule in enumerate(rules)}


def require_columns(days: Sequence[DayFile], one: Metric) -> None:
    """Look whether an event of these days has what a metric reads.

    Raises:
        ConfigError: none has a column that it reads.
        ArtifactError: a day is missing or damaged.
    """
    there = {*CANONICAL, *(name.lower() for day in days for name in _columns(day))}
    for column in sorted(one.columns):
        if column.lower() not in there:
            raise ConfigError(
                f"metric {one.name!r} reads the column {column!r}, which no event has",
                hint="clients tell it beside their events; of event files it is kept from now on: "
                "`freshet import FILE` again adds it",
            )


@dataclass(frozen=True, slots=True)
class _Flagged:
    """Events that pass any rule: bit i of `flags` says whether one passes rule i."""

    user: NDArray[np.uint64]
    time: NDArray[np.int64]
    flags: NDArray[np.int64]


def _flagged(
    db: duckdb.DuckDBPyConnection, day: DayFile, rules: Sequence[str], columns: Collection[str]
) -> _Flagged:
    query = f"""SELECT "user", "time", flags FROM
        (SELECT "user", epoch_us("time") AS "time", {flags_sql(rules)} AS flags
         FROM {rows_of(day, columns)}) WHERE flags > 0"""
    found = db.sql(query).to_arrow_table()
    return _Flagged(keys(found["user"]), found["time"].to_numpy(), found["flags"].to_numpy())


def flags_sql(rules: Sequence[str]) -> str:
    """SQL: a number whose bit i says whether an event passes rule i."""
    bits = (f"CASE WHEN {rule} THEN {1 << bit} ELSE 0 END" for bit, rule in enumerate(rules))
    return f"CAST({' + '.join(bits)} AS BIGINT)"


def rows_of(day: DayFile, columns: Collection[str]) -> str:
    """A day's events as a table; columns that its file lacks are null.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    there = {name.lower() for name in _columns(day)}
    absent = "".join(
        f", CAST(NULL AS VARCHAR) AS {sql.name(name)}"
        for name in sorted(columns)
        if name.lower() not in there
    )
    return f"(SELECT *{absent} FROM {sql.parquet([day.path])})"


def _columns(day: DayFile) -> list[str]:
    day.check()
    try:
        return [str(name) for name in pq.read_schema(day.path).names]
    except (OSError, ValueError) as error:  # Arrow's own errors are these
        day.verify()  # says what is wrong with it
        raise ArtifactError(
            f"{day.path} can't be read: {error}", hint="`freshet doctor` names what is damaged"
        ) from None
