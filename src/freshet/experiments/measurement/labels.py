"""Labelled impressions: what was shown, joined with the events that name it; as a table and as arrays.

An outcome is satisfied where an event names the impression, passes the rule, is of the same user, comes
within some hours, and its item is one of those shown; where no items were shown, an item of the interest.
Impressions whose hours were not over are left out: their outcome isn't known yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.types import AsOf, Interests, Outcomes, indices_of
from freshet.core.user_numbers import keys
from freshet.experiments.measurement.attribution import SAME_USER, in_time
from freshet.experiments.measurement.impression_files import IMPRESSIONS, columns_of, rows_sql
from freshet.stages import events
from freshet.stages.events import Rule
from freshet.storage import sql
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.release_parts import whole
from freshet.storage.workspace import DRAFTS, Workspace

_COLUMNS = (
    'id, "user", epoch_us("time") AS "time", release, context, place, interest, score, propensity, '
    "reason, experiment, arm"
)


@dataclass(frozen=True, slots=True)
class Window:
    """Impressions of the days from `since` to before `until`, as known at `until`.

    Attributes:
        hours: an outcome that comes later than this after the showing doesn't count; what was shown less
            than this before `until` is left out.
        first: whether only the first place of each answer is read.
        share: of the users.
        most: rows that files may hold in all; of more, those of the latest days are read. None = no limit.
    """

    since: AsOf
    until: AsOf
    hours: float
    first: bool = False
    share: float = 1.0
    most: int | None = None


def files_of(ws: Workspace, window: Window) -> list[Path]:
    """Files of impressions of the window's days, in order; those that can't be read are passed over."""
    files: list[Path] = []
    rows, day = 0, window.until.minus(1)
    while day.day >= window.since.day and (window.most is None or rows < window.most):
        every = sorted((ws.source / IMPRESSIONS / f"date={day}").glob("*.parquet"))
        today = [path for path in every if columns_of(path) is not None]
        rows += sum(_rows(path) for path in today)
        files = [*today, *files]
        day = day.minus(1)
    return files


def count(ws: Workspace, window: Window) -> int:
    """How many rows `labelled` has."""
    with _database(ws) as db:
        (rows,) = sql.row(db, f"SELECT count(*) FROM ({_shown(db, files_of(ws, window), window)})")
        return int(rows)


def labelled(
    ws: Workspace, window: Window, assignment: Artifact, interests: Interests, rule: Rule
) -> pa.Table:
    """What was shown in a window, a row for each interest in the order of time, and its `reward`.

    Columns are those of `SHOWN` without `answered`, `explored`, `items` and `user_key`; `time` is
    in microseconds since 1970.

    Args:
        assignment, interests: say which interest an item belongs to.
        rule: which events are satisfied outcomes.
    """
    files = files_of(ws, window)
    log = events.EventLog(ws.source).snapshot(window.until)
    days = [day.path for day in log.days if day.day >= window.since.day]
    with _database(ws) as db:
        assigned = pa.table({"index": np.arange(len(interests), dtype=np.int16), "id": interests.ids})
        db.register("ids", assigned)
        naming, shown = _naming(days, rule), _shown(db, files, window)
        return db.sql(
            f"""WITH shown AS ({shown}), naming AS ({naming}),
            assigned AS (
                SELECT item, id AS interest
                FROM {sql.parquet([assignment.path / "assignment.parquet"])} JOIN ids ON interest = index
            ),
            hits AS (
                SELECT DISTINCT s.id, s.place FROM shown AS s JOIN naming AS t ON t.impression = s.id
                LEFT JOIN assigned AS a ON a.item = t.item
                WHERE {SAME_USER} AND {in_time(window.hours)}
                AND CASE WHEN len(s.items) > 0 THEN list_contains(s.items, t.item)
                    ELSE a.interest = s.interest END
            )
            SELECT {_COLUMNS}, coalesce(hit, false) AS reward
            FROM shown LEFT JOIN (SELECT id, place, true AS hit FROM hits) USING (id, place)
            ORDER BY "time", id, place"""
        ).to_arrow_table()


@contextmanager
def _database(ws: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    scratch = ws.root / DRAFTS / f"outcomes-{uuid4().hex[:8]}"  # made where memory doesn't suffice
    with sql.connect_spilling(scratch) as db:
        yield db


def _shown(db: duckdb.DuckDBPyConnection, paths: Sequence[Path], window: Window) -> str:
    """SQL: what was shown; columns that older files lack are empty."""
    first = "AND place = 0" if window.first else ""
    sample = f'AND hash("user") % 1000000 < {round(window.share * 1e6)}' if window.share < 1 else ""
    return f"""SELECT * REPLACE (
            coalesce("user", '') AS "user",
            coalesce(CAST(experiment AS VARCHAR), '') AS experiment,
            coalesce(CAST(arm AS VARCHAR), '') AS arm
        ) FROM ({rows_sql(db, paths)})
        WHERE "time" >= {_moment(window.since)}
        AND "time" < {_moment(window.until)} - {_interval(window.hours)} {first} {sample}"""


def _naming(days: Sequence[Path], rule: Rule) -> str:
    """SQL: (impression, user, item, time) of events that name an impression and pass the rule."""
    return f"""SELECT impression, "user", item, "time" FROM ({_events(days, {"impression", *rule.columns})})
        WHERE impression IS NOT NULL AND impression <> '' AND {rule.sql}"""


def engaged(days: Sequence[Path], rule: Rule) -> str:
    """SQL: (u, item, t) of events that pass a rule."""
    source = _events(days, rule.columns)
    return f'SELECT "user" AS u, item, "time" AS t FROM ({source}) WHERE {rule.sql}'


def _events(days: Sequence[Path], columns: Set[str]) -> str:
    """SQL: events of some days; columns that they lack are empty."""
    further = sorted(set(columns) - {"id", "user", "item", "time", "value"})
    empty = "".join(f", CAST(NULL AS VARCHAR) AS {sql.name(column)}" for column in further)
    none = f"""SELECT '' AS id, '' AS "user", '' AS item, TIMESTAMP '1970-01-01' AS "time",
        CAST(0 AS DOUBLE) AS "value"{empty} WHERE false"""
    return none + (f" UNION ALL BY NAME FROM {sql.parquet([*days])}" if days else "")


def _moment(moment: AsOf) -> str:
    return f"TIMESTAMP '{moment} 00:00:00'"


def _interval(hours: float) -> str:
    return f"to_microseconds({round(timedelta(hours=hours).total_seconds() * 1e6)})"


def _rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def assignment_of(ws: Workspace, transitions: str) -> Artifact:
    """Which interest each item belongs to, as some transitions were counted with it.

    Raises:
        ArtifactError: it, or the transitions, is missing or damaged.
    """
    counted = committed(ws.store, "transitions", transitions)
    return whole(ws.store, "assignments", counted.manifest["inputs"]["assignment"])


def outcomes_of(table: pa.Table, index: NDArray[np.int16], k: int) -> Outcomes:
    """Rows of `labelled` as arrays; without those whose interest, or score, is not known.

    Args:
        index: interest index by stable id, -1 where there is none; ids beyond its end have none.
    """
    shown = indices_of(table["interest"].to_numpy(), index)
    score = table["score"].to_numpy().astype(np.float64)
    good = (shown >= 0) & np.isfinite(score)
    return Outcomes(
        contexts_of(table["context"], index, k),
        shown,
        table["place"].to_numpy(),
        score,
        table["reward"].to_numpy(),
        table["time"].to_numpy(),
        _users(table),
    ).take(good)


def _users(table: pa.Table) -> NDArray[np.uint64]:
    """(n,) users by number; of an answer to nobody a number of its own."""
    named = np.asarray(pc.not_equal(table["user"], ""))
    return np.where(named, keys(table["user"]), keys(table["id"]))


def contexts_of(lists: pa.ChunkedArray, index: NDArray[np.int16], k: int) -> NDArray[np.int16]:
    """(n, k) contexts; of one that names an interest which is no more, what came after it."""
    lengths = lists.combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
    ids = np.append(lists.combine_chunks().flatten().to_numpy(zero_copy_only=False), -1)
    ends = np.cumsum(lengths)
    contexts = np.full((len(lengths), k), -1, np.int16)
    known = np.ones(len(lengths), bool)
    for back in range(1, k + 1):
        place = indices_of(ids[np.where(lengths >= back, ends - back, -1)], index)
        known &= place >= 0
        contexts[known, -back] = place[known]
    return contexts
