"""Which answer an outcome belongs to, and why some outcomes belong to none.

An event that names an answer (its `impression`) counts for that answer: its user, its arm, its time. The
client's word for it is not enough, so an event must fit the answer that it names (`SAME_USER`, `in_time`, and
be of something shown), and the same outcome counts once however often it is sent. What doesn't fit is left
out and counted by reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.core.time import date_of
from freshet.core.types import Experiment
from freshet.experiments.measurement.event_counts import flags_sql, rows_of
from freshet.experiments.measurement.experiment_metrics import IMPRESSION, Metric
from freshet.experiments.measurement.exposures import Study, belongs
from freshet.experiments.measurement.impression_files import files, rows_sql
from freshet.experiments.stats.tally import Users
from freshet.stages import interests
from freshet.stages.events import DayFile
from freshet.storage import sql
from freshet.storage.release_parts import parts_of
from freshet.storage.workspace import Workspace

TOLERANCE = 60
"""Seconds that a client's clock may lag: an outcome may be dated so long before its answer was shown."""

SAME_USER = """(s."user" = '' OR t."user" = s."user")"""
"""SQL: the event `t` is of the user whom the answer `s` was shown to; an answer to nobody is anybody's."""

REASONS = {
    "unknown": "name no answer that was collected",
    "elsewhere": "name an answer outside this experiment",
    "another_user": "are of another user than the answer",
    "two_arms": "are of answers to users who saw two arms, or to nobody",
    "before_shown": "are dated before the answer was shown",
    "late": "came after the hours that [experiments] attribution_hours gives",
    "after_stop": "came after the experiment's end",
    "not_shown": "are of something that the answer did not show",
    "repeated": "repeat an outcome",
}
"""Why an event that names an answer does not count for an experiment."""


def in_time(hours: float) -> str:
    """SQL: the event `t` came after the answer `s` was shown, within some hours; `time` are timestamps."""
    end = round(timedelta(hours=hours).total_seconds() * 1e6)
    return (
        f'(t."time" >= s."time" - to_microseconds({TOLERANCE * 1_000_000}) '
        f'AND t."time" < s."time" + to_microseconds({end}))'
    )


@dataclass(frozen=True, slots=True)
class AttributionCounts:
    """What became of events that pass a rule and name an answer: counted + all left out are all of them.

    Attributes:
        left_out: reason -> events; see `REASONS`.
    """

    counted: int
    left_out: dict[str, int]


@dataclass(frozen=True)
class Attributed:
    """Outcomes that belong to answers of an experiment, in a database."""

    counts: AttributionCounts
    rules: tuple[str, ...]
    _db: duckdb.DuckDBPyConnection

    def on(self, day: date, users: Users) -> dict[str, NDArray[np.int64]]:
        """By rule (u,) outcomes of the answers shown to each user on a day."""
        query = f"SELECT user_key, flags, count(*) AS n FROM fits WHERE day = DATE '{day}' GROUP BY ALL"
        found = self._db.sql(query).fetchnumpy()
        place = users.find(np.asarray(found["user_key"], np.uint64))
        flags, count = np.asarray(found["flags"]), np.asarray(found["n"])
        return {
            rule: _added(place, count, flags & (1 << bit) != 0, len(users))
            for bit, rule in enumerate(self.rules)
        }


def _added(
    place: NDArray[np.int64], count: NDArray[np.int64], passes: NDArray[np.bool_], users: int
) -> NDArray[np.int64]:
    keep = passes & (place >= 0)
    return np.bincount(place[keep], count[keep], users).astype(np.int64)


def attribute(study: Study, metrics: Sequence[Metric]) -> Attributed:
    """Join the events that name answers with the answers that were shown.

    Args:
        metrics: those that count events which name an answer.
    """
    ws, db, experiment = study.ws, study.db, study.experiment
    hours = study.settings.experiments.attribution_hours
    rules = tuple(dict.fromkeys(rule for one in metrics for rule in one.rules if rule))
    columns = {IMPRESSION}.union(*(one.columns for one in metrics))
    reach = timedelta(hours=hours) + timedelta(days=1)
    first, last = date_of(experiment.start) - timedelta(days=1), None
    if experiment.stop is not None:
        last = date_of(experiment.stop) + reach
    _named(db, study.log, rules, columns)
    readable, _ = files(ws.source, first - reach)
    _answers(db, [one.path for one in readable], experiment)
    _delete_unrelated(db, first, last)
    _assigned(db, ws)
    db.register("exposed", pa.table({"user_key": study.users.key}))
    _attribute(db, experiment, hours)
    found = db.sql("SELECT why, count(*) FROM checked_events GROUP BY why").fetchall()
    rows = dict.fromkeys(["", *REASONS], 0) | {str(why): int(count) for why, count in found}
    return Attributed(AttributionCounts(rows.pop(""), rows), rules, db)


def _named(
    db: duckdb.DuckDBPyConnection, days: Sequence[DayFile], rules: Sequence[str], columns: set[str]
) -> None:
    """Table `named`: events that name an answer, with a bit for each rule that they pass."""
    db.execute(
        """CREATE OR REPLACE TEMP TABLE named
        (id VARCHAR, "user" VARCHAR, item VARCHAR, "time" TIMESTAMP, flags BIGINT)"""
    )
    for day in days:
        db.execute(
            f"""INSERT INTO named SELECT * FROM (SELECT {IMPRESSION}, "user", item, "time",
            {flags_sql(rules)} AS flags FROM {rows_of(day, columns)} WHERE {IMPRESSION} <> '')
            WHERE flags > 0"""
        )


def _answers(db: duckdb.DuckDBPyConnection, paths: list[Path], experiment: Experiment) -> None:
    """Table `answers`: those that events name, a row each, with all that they showed."""
    db.execute(
        f"""CREATE OR REPLACE TEMP TABLE answers AS
        SELECT id, min("time") AS "time", coalesce(min("user"), '') AS "user",
            coalesce(max(user_key), 0) AS user_key, coalesce(bool_or({belongs(experiment)}), false) AS ours,
            list(DISTINCT interest) AS interests, coalesce(flatten(list(items)), []) AS items
        FROM ({rows_sql(db, paths)}) SEMI JOIN named USING (id) GROUP BY id"""
    )


def _delete_unrelated(db: duckdb.DuckDBPyConnection, first: date, last: date | None) -> None:
    """Events of other times that name no answer of the experiment are none of its business."""
    later = "false" if last is None else f"CAST(t.\"time\" AS DATE) > DATE '{last}'"
    db.execute(
        f"""DELETE FROM named AS t WHERE (CAST(t."time" AS DATE) < DATE '{first}' OR {later})
        AND NOT EXISTS (SELECT 1 FROM answers AS s WHERE s.id = t.id AND s.ours)"""
    )


def _assigned(db: duckdb.DuckDBPyConnection, ws: Workspace) -> None:
    """Table `belonging`: the interest of each item by stable id, as the current release says; else empty."""
    release = ws.releases.current()
    if release is None:
        db.execute("CREATE OR REPLACE TEMP TABLE belonging (item VARCHAR, interest INTEGER)")
        return
    parts = parts_of(ws.store, release)
    ids = interests.load(parts.interests.path).ids
    db.register("ids", pa.table({"index": np.arange(len(ids), dtype=np.int16), "id": ids}))
    path = parts.assignment.path / "assignment.parquet"
    db.execute(
        f"""CREATE OR REPLACE TEMP TABLE belonging AS
        SELECT item, id AS interest FROM {sql.parquet([path])} JOIN ids ON interest = index"""
    )


def _attribute(db: duckdb.DuckDBPyConnection, experiment: Experiment, hours: float) -> None:
    """Tables `checked_events`: why each event is left out, '' if it counts; and `fits`: those that count.

    An answer that listed items showed these; one that listed none showed its interests. Without a release
    nothing says what belongs to an interest, and any item is taken for it.
    """
    stop = f't."time" >= make_timestamp({experiment.stop})' if experiment.stop is not None else "false"
    db.execute(
        f"""CREATE OR REPLACE TEMP TABLE checked_events AS
        WITH known AS (SELECT count(*) > 0 AS any_known FROM belonging),
        checked AS (
            SELECT t.id, t."time", t.flags, s.user_key, CAST(s."time" AS DATE) AS day,
                CASE WHEN len(s.items) = 0 AND any_known THEN CAST(b.interest AS VARCHAR) ELSE t.item END
                    AS what,
                CASE WHEN s.id IS NULL THEN 'unknown'
                    WHEN NOT s.ours THEN 'elsewhere'
                    WHEN NOT {SAME_USER} THEN 'another_user'
                    WHEN e.user_key IS NULL THEN 'two_arms'
                    WHEN {stop} THEN 'after_stop'
                    WHEN t."time" < s."time" AND NOT {in_time(hours)} THEN 'before_shown'
                    WHEN NOT {in_time(hours)} THEN 'late'
                    WHEN len(s.items) > 0 AND NOT list_contains(s.items, t.item) THEN 'not_shown'
                    WHEN len(s.items) = 0 AND any_known
                        AND NOT coalesce(list_contains(s.interests, b.interest), false) THEN 'not_shown'
                    ELSE '' END AS why
            FROM named AS t CROSS JOIN known
            LEFT JOIN answers AS s ON s.id = t.id LEFT JOIN belonging AS b ON b.item = t.item
            LEFT JOIN exposed AS e ON e.user_key = s.user_key
        )
        SELECT user_key, day, flags, CASE WHEN why = '' AND
            row_number() OVER (PARTITION BY id, what, flags, why ORDER BY "time") > 1 THEN 'repeated'
            ELSE why END AS why
        FROM checked"""
    )
    db.execute(
        "CREATE OR REPLACE TEMP TABLE fits AS SELECT user_key, day, flags FROM checked_events WHERE why = '' "
    )
