"""Frames out of a workspace: what it holds as Arrow tables.

import freshet

tables = freshet.tables("shop")
tables.interests().to_pandas()
polars.from_arrow(tables.successors())
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.errors import InputError, NotEnoughData
from freshet.core.types import AsOf
from freshet.experiments.measurement import impression_files, labels
from freshet.inspect import release_view
from freshet.replay import frames
from freshet.stages import events, interests
from freshet.stages.transitions import TransitionLog
from freshet.storage import sql
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace

_TIME = pa.timestamp("us", "UTC")


def tables(workspace: str | Path) -> Tables:
    """What a workspace holds, as Arrow tables.

    Raises:
        ConfigError: the folder is no workspace.
    """
    return Tables(open_workspace(Path(workspace)))


class Tables:
    """Arrow tables of a workspace, each read when it is asked for. Times are UTC, interests stable ids.

    `table.to_pandas()` and `polars.from_arrow(table)` make frames of them; both keep zones and nulls.
    """

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws

    def events(self, since: date | None = None, until: date | None = None) -> pa.Table:
        """The log from one day to before another: id, user, item, time, value, and columns that it keeps.

        Raises:
            NotEnoughData: there is no event on these days.
            ArtifactError: a day's file is missing or damaged.
        """
        days = events.EventLog(self._ws.source).snapshot().days
        chosen = [day for day in days if (since or date.min) <= day.day < (until or date.max)]
        if not chosen:
            raise NotEnoughData(
                "the log holds no event on these days", hint="`freshet import`, or other days"
            )
        for day in chosen:
            day.check()
        with sql.connect() as db:
            found = db.sql(f"FROM {sql.parquet([day.path for day in chosen])}").to_arrow_table()
        place = found.column_names.index("time")
        return found.set_column(place, "time", found["time"].cast(pa.timestamp("us")).cast(_TIME))

    def interests(self, release: int | None = None) -> pa.Table:
        """The interests of a release, None = the current one.

        Columns: interest, description, items, traffic, coherence.

        Raises:
            ArtifactError: there is no such release, or a part of it is missing.
        """
        opened = release_view.open_release(self._ws, release)
        built = release_view.artifact(self._ws, "interests", opened.release.interests)
        columns = ["id", "description", "items", "traffic", "coherence"]
        found = pq.read_table(built.path / "interests.parquet", columns=columns)
        return found.rename_columns(["interest", *columns[1:]]).replace_schema_metadata(None)

    def successors(self, release: int | None = None) -> pa.Table:
        """The table of a release: a row per context and successor.

        Columns: context (ids, most recent last; empty = nobody known), rank (from 0), interest, and the
        log-probabilities score (what ranked it), count and planner (null without a planner).

        Raises:
            ArtifactError: there is no such release, or a part of it is missing.
        """
        opened = release_view.open_release(self._ws, release)
        table, ids = opened.table, np.asarray(opened.interests.ids, np.int32)
        row, rank = np.nonzero(np.asarray(table.successors) >= 0)
        planner = np.asarray(table.planner)[row, rank]
        return pa.table(
            {
                "context": _contexts(np.asarray(table.contexts), ids).take(pa.array(row)),
                "rank": pa.array(rank.astype(np.int16)),
                "interest": pa.array(ids[np.asarray(table.successors)[row, rank]]),
                "score": pa.array(np.asarray(table.fused)[row, rank]),
                "count": pa.array(np.asarray(table.count)[row, rank]),
                "planner": pa.array(planner, mask=np.isnan(planner)),
            }
        )

    def items(self, release: int | None = None) -> pa.Table:
        """Which interest each item belongs to, as a release counts them: item, interest, how.

        Raises:
            ArtifactError: there is no such release, or a part of it is missing.
        """
        opened = release_view.open_release(self._ws, release)
        built = labels.assignment_of(self._ws, opened.made.manifest["inputs"]["transitions"])
        known, ids = interests.load_assignment(built.path), np.asarray(opened.interests.ids, np.int32)
        return pa.table({"item": known.items, "interest": ids[known.interest], "how": known.how})

    def transitions(self, since: date, until: date, release: int | None = None) -> pa.Table:
        """What people moved on to, from one day to before another, as the release counts it.

        Columns: user (a number that stands for the user), time, recent (up to ten interests, most recent
        last), successor.

        Raises:
            ArtifactError: there is no such release, or a part of it is missing.
        """
        opened = release_view.open_release(self._ws, release)
        version = opened.made.manifest["inputs"]["transitions"]
        counted = release_view.artifact(self._ws, "transitions", version)
        ids = np.asarray(opened.interests.ids, np.int32)
        log = TransitionLog(counted.path, self._ws.pool, len(ids))
        found = log.between(AsOf(since), AsOf(until))
        return pa.table(
            {
                "user": pa.array(found.user),
                "time": pa.array(found.time, pa.timestamp("us")).cast(_TIME),
                "recent": _contexts(found.recent, ids),
                "successor": pa.array(ids[found.successor]),
            }
        )

    def impressions(self, since: date | None = None, until: date | None = None) -> pa.Table:
        """What was shown, from one day to before another: a row for each interest of an answer.

        Raises:
            InputError: a file of impressions can't be read.
        """
        last = date.fromordinal(until.toordinal() - 1) if until else date.max
        good, bad = impression_files.files(self._ws.source, since or date.min, last)
        if bad:
            raise InputError(
                f"{bad[0]} can't be read as impressions", hint="`freshet doctor` tells what it is"
            )
        with sql.connect() as db:
            rows = impression_files.rows_sql(db, [one.path for one in good])
            found = db.sql(rows).to_arrow_table()
        return found.cast(
            pa.schema([one.with_type(_TIME) if one.name == "time" else one for one in impression_files.SHOWN])
        )

    @staticmethod
    def replay(folder: str | Path) -> dict[str, pa.Table]:
        """What a replay wrote into a folder: judged, states, costs and circumstances."""
        found = frames.Results.read(Path(folder))
        return {name: getattr(found, name) for name in frames.NAMES}


def _contexts(contexts: NDArray[np.int16], ids: NDArray[np.int32]) -> pa.ListArray:
    """Right-aligned indices (n, k), -1 padded, as lists of stable ids."""
    known = contexts >= 0
    ends = np.append(0, known.sum(axis=1).cumsum()).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(ids[contexts[known]]))
