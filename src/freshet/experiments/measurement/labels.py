"""Step: what became of what was shown: files of impressions joined with the events that name them.

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
import pyarrow.parquet as pq

from freshet.core.types import AsOf, Interests
from freshet.experiments.measurement.attribution import SAME_USER, in_time
from freshet.experiments.measurement.collect import IMPRESSIONS, SHOWN
from freshet.experiments.measurement.impression_files import columns_of
from freshet.stages import events
from freshet.stages.events import Rule, sql
from freshet.storage.artifacts import Artifact
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
        (rows,) = sql.row(db, f"SELECT count(*) FROM ({_shown(files_of(ws, window), window)})")
        return int(rows)


def labelled(
    ws: Workspace, window: Window, assignment: Artifact, interests: Interests, rule: Rule
) -> pa.Table:
    """What was shown in a window, a row for each interest in the order of time, and its `reward`.

    Columns are those of `collecting.SHOWN` without `answered`, `explored`, `items` and `user_key`; `time` is
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
        told, shown = _told(days, rule), _shown(files, window)
        return db.sql(
            f"""WITH shown AS ({shown}), told AS ({told}),
            assigned AS (
                SELECT item, id AS interest
                FROM {sql.parquet([assignment.path / "assignment.parquet"])} JOIN ids ON interest = index
            ),
            hits AS (
                SELECT DISTINCT s.id, s.place FROM shown AS s JOIN told AS t ON t.impression = s.id
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
    with sql.connect(scratch) as db:
        db.register("empty_shown", SHOWN.empty_table())
        yield db


def _shown(files: Sequence[Path], window: Window) -> str:
    """SQL: what was shown; columns that older files lack are empty."""
    source = "FROM empty_shown" + (f" UNION ALL BY NAME FROM {sql.parquet([*files])}" if files else "")
    first = "AND place = 0" if window.first else ""
    sample = f'AND hash("user") % 1000000 < {round(window.share * 1e6)}' if window.share < 1 else ""
    return f"""SELECT * REPLACE (
            coalesce("user", '') AS "user",
            coalesce(CAST(experiment AS VARCHAR), '') AS experiment,
            coalesce(CAST(arm AS VARCHAR), '') AS arm
        ) FROM ({source})
        WHERE "time" >= {_moment(window.since)}
        AND "time" < {_moment(window.until)} - {_interval(window.hours)} {first} {sample}"""


def _told(days: Sequence[Path], rule: Rule) -> str:
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
