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

from freshet.core.errors import ArtifactError, NotEnoughData
from freshet.core.time import date_of
from freshet.core.types import Experiment
from freshet.experiments.measurement.collect import IMPRESSIONS
from freshet.experiments.measurement.impression_files import columns_of, day_of_folder
from freshet.experiments.stats.exposed_users import Users
from freshet.stages.events import sql

MEMORY = "1200MB"
"""What the database may use before it spills to disk."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How many interests, and how many answers, came from where on a day; `nameless` went to nobody known."""

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
    shown: tuple[Shown, ...]
    mixed: int
    files: dict[date, tuple[Path, ...]]
    passed_over: tuple[Path, ...] = ()

    def answers(self, db: duckdb.DuckDBPyConnection, day: date) -> NDArray[np.int64]:
        """(u,) answers shown to each user on a day."""
        files = self.files.get(day, ())
        if not files:
            return np.zeros(len(self.users), np.int64)
        query = f"SELECT user_key FROM {_rows(files, self.experiment)} WHERE place = 0 AND user_key <> 0"
        place = self.users.find(db.sql(query).fetchnumpy()["user_key"])
        return np.bincount(place[place >= 0], minlength=len(self.users))


@contextmanager
def database(scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database that spills to a folder, which need not be there.

    Raises:
        ArtifactError: a file that is read meanwhile is damaged, or memory does not suffice.
    """
    with sql.connect(scratch, MEMORY) as db:
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
    files, passed_over = _files(source / IMPRESSIONS, experiment)
    every = [path for day in files.values() for path in day]
    shown = _shown(db, every, experiment) if every else ()
    users, mixed = _users(db, every, experiment) if shown else (None, 0)
    if users is None or not len(users):
        unread = f"; {len(passed_over)} files of impressions can't be read" if passed_over else ""
        raise NotEnoughData(
            f"nobody was exposed to experiment {experiment.name!r} yet{unread}",
            hint="impressions are collected by `freshet run`, or `freshet collect`, of a served workspace",
        )
    days = tuple(sorted({one.day for one in shown}))
    return Exposures(experiment, users, days, shown, mixed, files, passed_over)


def _files(folder: Path, experiment: Experiment) -> tuple[dict[date, tuple[Path, ...]], tuple[Path, ...]]:
    """Files that may hold exposures, by day, without those from before there were experiments; and odd ones.

    What lies in no day's folder, or is not whole, is passed over.
    """
    first = date_of(experiment.start)
    last = date_of(experiment.stop) if experiment.stop is not None else date.max
    found: dict[date, tuple[Path, ...]] = {}
    passed_over: list[Path] = []
    for path in sorted(folder.glob("*/*.parquet")):
        day = day_of_folder(path.parent)
        if day is not None and not first <= day <= last:
            continue
        columns = columns_of(path)
        if day is None or columns is None:
            passed_over.append(path)
        elif "experiment" in columns:
            found[day] = (*found.get(day, ()), path)
    return found, tuple(passed_over)


def _rows(files: list[Path] | tuple[Path, ...], experiment: Experiment) -> str:
    """The experiment's rows, with `ix`, the place of the arm."""
    arms = " ".join(f"WHEN {sql.text(arm.name)} THEN {index}" for index, arm in enumerate(experiment.arms))
    return f"""(SELECT *, CAST(CASE arm {arms} ELSE -1 END AS TINYINT) AS ix FROM {sql.parquet([*files])}
        WHERE {belongs(experiment)})"""


def belongs(experiment: Experiment) -> str:
    """SQL: whether a row of impressions is of the experiment."""
    arms = ", ".join(sql.text(arm.name) for arm in experiment.arms)
    stop = f"AND time < make_timestamp({experiment.stop})" if experiment.stop is not None else ""
    return f"""experiment = {sql.text(experiment.name)} AND arm IN ({arms})
        AND time >= make_timestamp({experiment.start}) {stop}"""


def _shown(db: duckdb.DuckDBPyConnection, files: list[Path], experiment: Experiment) -> tuple[Shown, ...]:
    query = f"""SELECT CAST(time AS DATE) AS day, CAST(arm AS VARCHAR) AS arm, release, reason,
        count(*), count_if(place = 0), count_if(place = 0 AND user_key = 0)
        FROM {_rows(files, experiment)} GROUP BY ALL ORDER BY ALL"""
    return tuple(Shown(*row) for row in db.sql(query).fetchall())


def _users(db: duckdb.DuckDBPyConnection, files: list[Path], experiment: Experiment) -> tuple[Users, int]:
    """Those in one arm, and how many were in two."""
    query = f"""SELECT user_key, min(ix) AS least, max(ix) AS most, epoch_us(min(time)) AS first
        FROM {_rows(files, experiment)} WHERE place = 0 AND user_key <> 0 GROUP BY user_key"""
    table = db.sql(query).to_arrow_table()
    key, least, most, first = (table[name].to_numpy() for name in ("user_key", "least", "most", "first"))
    one = least == most
    order = np.argsort(key)
    order = order[one[order]]
    users = Users(key[order].astype(np.uint64), least[order].astype(np.int8), first[order])
    return users, int(len(one) - one.sum())
