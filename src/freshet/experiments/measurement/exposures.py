"""Impressions of an experiment: who was exposed, in which arm, since when, and to what.

Out of core: impressions lie in Parquet files by day, and only one row per user is held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.core.config import Config
from freshet.core.errors import ArtifactError, NotEnoughData
from freshet.core.time import DAY, date_of, midnight
from freshet.core.types import Experiment
from freshet.experiments.measurement.frozen_rules import as_started
from freshet.experiments.measurement.impression_files import files
from freshet.experiments.stats.tally import Users
from freshet.stages.events import DayFile
from freshet.storage import sql
from freshet.storage.workspace import Workspace

MEMORY = "1200MB"
"""What the database may use before it spills to disk."""


@dataclass(frozen=True, slots=True)
class ShownCounts:
    """Interests and answers of one source on a day; `nameless` answers went to nobody known."""

    day: date
    arm: str
    release: int
    reason: str
    interests: int
    answers: int
    nameless: int


@dataclass(frozen=True)
class Exposures:
    """What users of an experiment were shown.

    Attributes:
        users: those exposed, in one arm each.
        days: those with impressions, ascending.
        shown: counts by day, arm, release and source.
        mixed: users whose impressions name two arms; they are left out.
        files: of impressions, by day.
        passed_over: files that lie in no day's folder, or can't be read.
    """

    experiment: Experiment
    users: Users
    days: tuple[date, ...]
    shown: tuple[ShownCounts, ...]
    mixed: int
    files: dict[date, tuple[Path, ...]]
    passed_over: tuple[Path, ...] = ()

    def answers(self, db: duckdb.DuckDBPyConnection, day: date) -> NDArray[np.int64]:
        """(u,) answers shown to each user on a day."""
        paths = self.files.get(day, ())
        if not paths:
            return np.zeros(len(self.users), np.int64)
        query = f"SELECT user_key FROM {_rows(paths, self.experiment)} WHERE place = 0 AND user_key <> 0"
        place = self.users.find(db.sql(query).fetchnumpy()["user_key"])
        return np.bincount(place[place >= 0], minlength=len(self.users))


@contextmanager
def database(scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database that spills to a folder, which need not be there.

    Raises:
        ArtifactError: a file that is read meanwhile is damaged, or memory does not suffice.
    """
    with sql.connect_spilling(scratch, MEMORY) as db:
        try:
            yield db
        except (duckdb.Error, pa.ArrowException) as error:
            raise ArtifactError(
                f"impressions or events can't be read: {error}",
                hint="`freshet doctor` names damaged files, `--repair` moves them aside",
            ) from error


def exposures(db: duckdb.DuckDBPyConnection, source: Path, experiment: Experiment) -> Exposures:
    """Read them from a workspace's folder.

    Raises:
        NotEnoughData: nobody was exposed, as far as was collected.
    """
    by_day, passed_over = _files(source, experiment)
    every = [path for day in by_day.values() for path in day]
    shown = _shown(db, every, experiment) if every else ()
    users, mixed = _users(db, every, experiment) if shown else (None, 0)
    if users is None or not len(users):
        unread = f"; {len(passed_over)} files of impressions can't be read" if passed_over else ""
        raise NotEnoughData(
            f"nobody was exposed to experiment {experiment.name!r} yet{unread}",
            hint="impressions are collected by `freshet run`, or `freshet collect`, of a served workspace",
        )
    days = tuple(sorted({one.day for one in shown}))
    return Exposures(experiment, users, days, shown, mixed, by_day, passed_over)


@dataclass(frozen=True)
class Study:
    """Data that an experiment is measured on.

    Attributes:
        db: keeps what is joined meanwhile, and may spill.
        log: all days of the event log, ascending.
        days: those that are measured, ascending, without gaps.
    """

    ws: Workspace
    db: duckdb.DuckDBPyConnection
    exposures: Exposures
    log: tuple[DayFile, ...]
    days: tuple[date, ...]

    @property
    def experiment(self) -> Experiment:
        return self.exposures.experiment

    @property
    def users(self) -> Users:
        return self.exposures.users

    @property
    def settings(self) -> Config:
        """The settings that the experiment is measured by: those of its start."""
        return as_started(self.ws.config, self.experiment)

    @property
    def end(self) -> int:
        """When what is known ends, in microseconds since 1970: after the last day, or at the stop."""
        last = midnight(self.days[-1]) + DAY
        return last if self.experiment.stop is None else min(last, self.experiment.stop)


def _files(source: Path, experiment: Experiment) -> tuple[dict[date, tuple[Path, ...]], tuple[Path, ...]]:
    """Files that may hold exposures, by day (older ones name no experiment); and unreadable ones."""
    last = date_of(experiment.stop) if experiment.stop is not None else date.max
    readable, unreadable = files(source, date_of(experiment.start), last)
    found: dict[date, tuple[Path, ...]] = {}
    for one in readable:
        if "experiment" in one.columns:
            found[one.day] = (*found.get(one.day, ()), one.path)
    return found, tuple(unreadable)


def _rows(paths: list[Path] | tuple[Path, ...], experiment: Experiment) -> str:
    """The experiment's rows, with `ix`, the place of the arm."""
    arms = " ".join(f"WHEN {sql.text(arm.name)} THEN {index}" for index, arm in enumerate(experiment.arms))
    return f"""(SELECT *, CAST(CASE arm {arms} ELSE -1 END AS TINYINT) AS ix FROM {sql.parquet([*paths])}
        WHERE {belongs(experiment)})"""


def belongs(experiment: Experiment) -> str:
    """SQL: whether a row of impressions is of the experiment."""
    arms = ", ".join(sql.text(arm.name) for arm in experiment.arms)
    stop = f"AND time < make_timestamp({experiment.stop})" if experiment.stop is not None else ""
    return f"""experiment = {sql.text(experiment.name)} AND arm IN ({arms})
        AND time >= make_timestamp({experiment.start}) {stop}"""


def _shown(
    db: duckdb.DuckDBPyConnection, paths: list[Path], experiment: Experiment
) -> tuple[ShownCounts, ...]:
    query = f"""SELECT CAST(time AS DATE) AS day, CAST(arm AS VARCHAR) AS arm, release, reason,
        count(*), count_if(place = 0), count_if(place = 0 AND user_key = 0)
        FROM {_rows(paths, experiment)} GROUP BY ALL ORDER BY ALL"""
    return tuple(ShownCounts(*row) for row in db.sql(query).fetchall())


def _users(db: duckdb.DuckDBPyConnection, paths: list[Path], experiment: Experiment) -> tuple[Users, int]:
    """Those in one arm, and how many were in two."""
    query = f"""SELECT user_key, min(ix) AS least, max(ix) AS most, epoch_us(min(time)) AS first
        FROM {_rows(paths, experiment)} WHERE place = 0 AND user_key <> 0 GROUP BY user_key"""
    table = db.sql(query).to_arrow_table()
    key, least, most, first = (table[name].to_numpy() for name in ("user_key", "least", "most", "first"))
    one = least == most
    order = np.argsort(key)
    order = order[one[order]]
    users = Users(key[order].astype(np.uint64), least[order].astype(np.int8), first[order])
    return users, int(len(one) - one.sum())
