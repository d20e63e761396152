"""What a log's traffic can show: its users as if all of them had been in an experiment."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import ConfigError, NotEnoughData
from freshet.core.ports import Progress, silent
from freshet.core.time import DAY, midnight
from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.core.user_numbers import keys
from freshet.experiments.measurement.event_counts import BEFORE_DAYS, rows_of
from freshet.experiments.measurement.experiment_metrics import Metric
from freshet.experiments.measurement.exposures import Exposures, Study, database
from freshet.experiments.measurement.measure import measure_study
from freshet.experiments.stats.moments import Moments
from freshet.experiments.stats.power import Baseline, Span
from freshet.experiments.stats.tally import Users
from freshet.stages.events import DayFile, EventLog, body
from freshet.storage import sql
from freshet.storage.workspace import Workspace

LENGTHS = (1, 2, 3, 7, 14, 21, 28, 42, 56)
"""Days an experiment may run, as far as the log holds as many."""


@dataclass(frozen=True)
class Traffic:
    """Users who were active in the last days of a log, and what they did.

    Attributes:
        first: of the days, `days` of them.
        daily: users active on an average day.
        moments: by metric, of all users active until the end of each day, all days so far.
        attributed: whether metrics that count only events which name an impression did so.
    """

    first: date
    days: int
    daily: float
    moments: dict[str, tuple[Moments, ...]]
    attributed: bool

    def spans(self, metric: str, scale: float = 1.0, *, adjusted: bool = True) -> list[Span]:
        """The metric over windows of growing length.

        Args:
            scale: users of the experiment for each user here.
            adjusted: use what users did before.
        """
        found = self.moments[metric]
        return [
            Span(days, scale * found[days - 1].n, _baseline(found[days - 1], adjusted))
            for days in sorted({*LENGTHS, len(found)})
            if days <= len(found)
        ]


def traffic_of(
    ws: Workspace,
    metrics: Sequence[Metric],
    progress: Callable[[str], Progress] = lambda _: silent,
) -> Traffic:
    """Of the last days of the log, up to 56, as far as there are as many before them.

    Where events name impressions, the days begin with the first that does: others count nothing of a metric
    that counts only those. Where none does, all events count.

    Raises:
        NotEnoughData: the log holds no event.
        ConfigError: a metric needs impressions, or a column that no event has.
    """
    log = body(EventLog(ws.source).snapshot().days)
    if not log:
        raise NotEnoughData("the log holds no events to plan by", hint="`freshet import` adds to the log")
    if odd := [one.name for one in metrics if one.per == "impression"]:
        raise ConfigError(f"how {odd[0]!r} varies can't be told without impressions", hint="plan by another")
    until = log[-1].day + timedelta(days=1)
    known = (until - log[0].day).days
    length = min(LENGTHS[-1], max(known - BEFORE_DAYS, known // 2, 1))
    window = [until - timedelta(days=length - n) for n in range(length)]
    with tempfile.TemporaryDirectory() as scratch, database(Path(scratch)) as db:
        inside = [day for day in log if day.day >= window[0]]
        follows = _first_attributed(db, inside)
        window = [day for day in window if follows is None or day >= follows]
        users, daily = _active(db, [day for day in inside if day.day >= window[0]])
        shown = _everybody(users, window)
        counted = [one if follows else replace(one, attributed=False) for one in metrics]
        found = measure_study(Study(ws, db, shown, tuple(log), tuple(window)), counted, progress)
    return Traffic(
        window[0],
        len(window),
        daily / len(window),
        {name: tuple(day.cumulative[0] for day in some) for name, some in found.moments.items()},
        follows is not None,
    )


def _baseline(moments: Moments, adjusted: bool) -> Baseline:
    found = Baseline.of(moments)
    return found if adjusted else replace(found, explained=0.0)


def _everybody(users: Users, window: Sequence[date]) -> Exposures:
    """All of them in one arm, exposed by their first event."""
    start, stop = midnight(window[0]), midnight(window[-1]) + DAY
    arms = (ExperimentArm("everybody", 1.0, Serves()),)
    alone = Experiment("traffic", "", arms, 1.0, (), start, began=0, stop=stop)
    return Exposures(alone, users, tuple(window), (), 0, {})


def _active(db: duckdb.DuckDBPyConnection, days: Sequence[DayFile]) -> tuple[Users, int]:
    """Users with an event in these days, from their first one on; and users of each day, added up."""
    key, first, total = np.zeros(0, np.uint64), np.zeros(0, np.int64), 0
    for day in days:
        query = f'SELECT "user", epoch_us(min("time")) AS first FROM {rows_of(day, ())} GROUP BY "user"'
        table = db.sql(query).to_arrow_table()
        seen, when = keys(table["user"]), table["first"].to_numpy()
        new = ~_among(seen, key)
        key, first = np.append(key, seen[new]), np.append(first, when[new])
        order = np.argsort(key)
        key, first, total = key[order], first[order], total + len(seen)
    return Users(key, np.zeros(len(key), np.int8), first), total


def _among(keys: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """(n,) whether each is among the known ones, which ascend."""
    if not len(known):
        return np.zeros(len(keys), bool)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray(known[place] == keys)


def _first_attributed(db: duckdb.DuckDBPyConnection, days: Sequence[DayFile]) -> date | None:
    """The first day with an event that names an impression."""
    for day in days:
        query = f"SELECT count(*) FROM {rows_of(day, ('impression',))} WHERE impression <> ''"
        if sql.row(db, query)[0]:
            return day.day
    return None
