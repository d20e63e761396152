"""Engagements of exposed users with interests, read for the metrics of exploration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import duckdb
import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import ConfigError
from freshet.core.ports import Progress
from freshet.core.time import DAY, date_of
from freshet.core.user_numbers import keys
from freshet.experiments.measurement.event_counts import BEFORE_DAYS, rows_of
from freshet.experiments.measurement.experiment_metrics import Kind
from freshet.experiments.measurement.exposures import Study
from freshet.experiments.stats.exploration import Additions, Engaged, interests_7d, novel, returned_7d
from freshet.stages import events
from freshet.stages.events import DayFile
from freshet.storage import sql
from freshet.storage.release_parts import parts_of
from freshet.storage.workspace import Workspace

TOGETHER = 1_000_000
"""Users whose engagements are in memory at a time."""


@dataclass(frozen=True)
class Explored:
    """What users add to one metric.

    Attributes:
        additions: in order of time.
        past: (q, u) the same of the weeks before the start.
    """

    additions: Additions
    past: NDArray[np.int32]

    def between(self, start: int, end: int, users: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(u,) numerator and denominator that a span of time adds."""
        a, b = np.searchsorted(self.additions.time, (start, end))
        user = self.additions.user[a:b]
        y, d = self.additions.y[a:b], self.additions.d[a:b]
        return np.bincount(user[y > 0], minlength=users), np.bincount(user[d > 0], minlength=users)


def explored(study: Study, kinds: Sequence[Kind], progress: Progress) -> dict[Kind, Explored]:
    """By kind, as the current release assigns items to interests.

    Raises:
        ConfigError: there is no release yet.
    """
    horizon, start, users = study.settings.transitions.novelty_days, study.experiment.start, study.users
    h = None if horizon == "ever" else horizon * DAY
    reach = None if horizon == "ever" else date_of(start) - timedelta(days=BEFORE_DAYS + horizon)
    last = date_of(study.end)
    needed = [day for day in study.log if (reach is None or day.day >= reach) and day.day <= last]
    _with_assignment(study.db, study.ws)
    parts: dict[Kind, list[tuple[Additions, Additions]]] = {kind: [] for kind in kinds}
    chunks = range(0, len(users), TOGETHER)
    for done, low in enumerate(chunks):
        first = users.first[low : low + TOGETHER]
        rows = _engaged(study, needed, low)
        earlier = np.full(len(first), start - BEFORE_DAYS * DAY)
        for kind in kinds:
            since = _additions(kind, rows, first, h, study.end)
            past = _additions(kind, rows, earlier, h, start)
            parts[kind].append((since.moved(low), past.moved(low)))
        progress(done + 1, len(chunks))
    return {kind: _joined(parts[kind], len(users), kind) for kind in kinds}


def _additions(
    kind: Kind, rows: Engaged, first: NDArray[np.int64], horizon: int | None, end: int
) -> Additions:
    if kind == "novel":
        return novel(rows, first, horizon, end)
    if kind == "interests_7d":
        return interests_7d(rows, first, end)
    return returned_7d(rows, first, horizon, end)


def _joined(parts: list[tuple[Additions, Additions]], users: int, kind: Kind) -> Explored:
    since, past = (Additions.joined(list(some)) for some in zip(*parts, strict=True))
    order = np.argsort(since.time, kind="stable")
    y = np.bincount(past.user[past.y > 0], minlength=users)
    d = np.bincount(past.user[past.d > 0], minlength=users)
    covariates = {"novel": [y], "interests_7d": [y], "returned_7d": [y, d]}[kind] if y.any() else []
    return Explored(
        Additions(since.user[order], since.time[order], since.y[order], since.d[order]),
        np.array(covariates, np.int32).reshape(len(covariates), users),
    )


def _with_assignment(db: duckdb.DuckDBPyConnection, ws: Workspace) -> None:
    release = ws.releases.current()
    if release is None:
        raise ConfigError(
            "metrics of exploration need interests, and there is no release yet",
            hint="`freshet run` makes one",
        )
    path = parts_of(ws.store, release).assignment.path / "assignment.parquet"
    db.execute(f"CREATE OR REPLACE TABLE assignment AS FROM read_parquet({sql.text(str(path))})")


def _engaged(study: Study, days: Sequence[DayFile], low: int) -> Engaged:
    """Engagements of users from place `low` on, places counted from there."""
    rule = events.parse(study.settings.events.positive)
    found = [_of_day(study, day, rule, low) for day in days]
    if not found:
        nothing = np.zeros(0, np.int64)
        return Engaged(nothing, nothing, nothing)
    return Engaged.of(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _of_day(
    study: Study, day: DayFile, rule: events.Rule, low: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    query = f"""SELECT e."user", CAST(a.interest AS BIGINT) AS interest, epoch_us(e."time") AS "time"
        FROM (SELECT "user", item, "time" FROM {rows_of(day, rule.columns)} WHERE {rule.sql}) AS e
        JOIN assignment AS a ON a.item = e.item"""
    table = study.db.sql(query).to_arrow_table()
    place = study.users.find(keys(table["user"]))
    ours = (place >= low) & (place < low + TOGETHER)
    return place[ours] - low, table["interest"].to_numpy()[ours], table["time"].to_numpy()[ours]
