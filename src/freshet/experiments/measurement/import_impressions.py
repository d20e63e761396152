"""Step: what another system has shown -> files of impressions, and what came of it -> events.

Importing a file again changes nothing: a row is known by the id of its answer and its place, an outcome by
the row that it belongs to. A killed import is made whole by the same command.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from freshet.core.config import Columns
from freshet.core.errors import ConfigError, InputError
from freshet.core.user_numbers import keys
from freshet.experiments.measurement.collect import COLUMNS
from freshet.experiments.measurement.experiment_metrics import IMPRESSION
from freshet.experiments.measurement.foreign_rows import ELSEWHERE, ColumnNames, checked_rows, refused_rows
from freshet.experiments.measurement.foreign_scores import scores_by_release
from freshet.experiments.measurement.frozen_rules import kept_columns
from freshet.experiments.measurement.impression_files import IMPRESSIONS, SHOWN, files, rows_sql
from freshet.stages import events, interests
from freshet.stages.events import quarantine
from freshet.stages.events.formats import SourceFile, event_source
from freshet.stages.events.staging import Staged, Wanted, stage
from freshet.storage import sql
from freshet.storage.durable import make_folder, written
from freshet.storage.ledger import Run
from freshet.storage.release_parts import Parts, parts_of
from freshet.storage.user_ids import FORGOTTEN, people_of
from freshet.storage.workspace import DRAFTS, Workspace


@dataclass(frozen=True, slots=True)
class ImpressionsReport:
    """What an import of one file did; rows = added + duplicates + all quarantined.

    Attributes:
        quarantined: reason -> rows.
        unscored: rows that were added without a score, since no release precedes them, or its table doesn't
            rank their interest: feedback leaves them out.
        outcomes: events that were new to the log.
    """

    source: str
    rows: int
    added: int
    duplicates: int
    quarantined: dict[str, int]
    unscored: int
    outcomes: int
    notes: tuple[str, ...]


def import_impressions(
    ws: Workspace, run: Run, sources: list[Path], names: ColumnNames, now: datetime
) -> list[ImpressionsReport]:
    """Take in files of impressions, each as a whole.

    Raises:
        InputError: a file can't be read, lacks a column, or has rows of which none can be used.
        ConfigError: there is no release, by whose interests rows are understood.
    """
    release = ws.releases.current()
    if release is None:
        raise ConfigError(
            "impressions name interests, and there is no release yet", hint="`freshet run` first"
        )
    parts = parts_of(ws.store, release)
    reports: list[ImpressionsReport] = []
    with run.step("impressions") as step:
        for source in sources:
            for file in event_source(source).files:
                run.say(f"reading {file.path}")
                reports.append(_import(ws, run, file, names, now, parts))
        step.details = {
            "rows": sum(one.rows for one in reports),
            "added": sum(one.added for one in reports),
            "duplicates": sum(one.duplicates for one in reports),
            "quarantined": sum(sum(one.quarantined.values()) for one in reports),
            "outcomes": sum(one.outcomes for one in reports),
        }
    return reports


def _import(
    ws: Workspace, run: Run, file: SourceFile, names: ColumnNames, now: datetime, parts: Parts
) -> ImpressionsReport:
    scratch = ws.source / DRAFTS / f"impressions-{uuid4().hex[:8]}"
    make_folder(scratch)
    try:
        with sql.connect_spilling(scratch) as db:
            staged = _staged(ws, db, file, names, now, scratch / "draft.parquet")
            _judge(ws, db, staged, names, parts)
            quarantined = _quarantine(ws, db, staged)
            for why, count in quarantined.items():
                run.say(f"  quarantined: {count:,} rows, {why}")
            added, unscored = _write(ws, db)
            (usable,) = sql.row(db, "SELECT count(*) FROM judged WHERE reason IS NULL")
            outcomes = _import_outcomes(ws, db, scratch, now)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    notes = list(staged.notes)
    if unscored:
        notes.append(f"{unscored:,} rows have no score: no release precedes them, or it doesn't rank them")
    for note in notes:
        run.say(f"  note: {note}")
    return ImpressionsReport(
        str(staged.source),
        staged.rows,
        added,
        int(usable) - added,
        quarantined,
        unscored,
        outcomes,
        tuple(notes),
    )


def _staged(
    ws: Workspace,
    db: duckdb.DuckDBPyConnection,
    file: SourceFile,
    names: ColumnNames,
    now: datetime,
    draft: Path,
) -> Staged:
    """The file's rows with whom, when and what they are about."""
    settings = ws.config.events.model_copy(update={"columns": names.events()})
    wanted = Wanted(settings, events.parse("value > 0"), now, frozenset(names.further().values()),
                    people_of(ws.source))  # fmt: skip
    hint = "name columns with --column PART=NAME, such as `--column propensity=p`; `--column id=` = none"
    try:
        staged = stage(db, file, wanted, draft)
    except InputError as error:
        raise InputError(error.message, hint=hint) from None
    there = frozenset(pq.read_schema(draft).names)
    if not there.intersection(names.of_part(part) for part in ("context", "history")):
        raise InputError(f"{file.path} has neither a context nor a history of its users", hint=hint)
    value_note = "every event has the value 1"
    return replace(staged, notes=tuple(note for note in staged.notes if value_note not in note))


def _judge(
    ws: Workspace, db: duckdb.DuckDBPyConnection, staged: Staged, names: ColumnNames, parts: Parts
) -> None:
    """Table `judged`: rows with their parts, and the reason why they can't be used."""
    known = interests.load(parts.interests.path)
    ids = known.ids.tolist()
    texts = [(text, id_) for text, id_ in zip(known.descriptions, ids, strict=True) if not text.isdigit()]
    named = [*((str(id_), id_) for id_ in ids), *texts]
    db.register(
        "names", pa.table({"name": [name for name, _ in named], "interest": [id_ for _, id_ in named]})
    )
    flag = np.zeros(max(ids) + 1, bool)
    flag[known.ids] = True
    db.register("flags", pa.table({"flag": pa.array([flag.tolist()])}))
    db.register("releases", pa.table({"number": pa.array(ws.releases.numbers(), pa.int64())}))
    db.register("stable", pa.table({"index": np.arange(len(ids), dtype=np.int16), "interest": known.ids}))
    path = parts.assignment.path / "assignment.parquet"
    db.execute(
        f"""CREATE TABLE assigned AS SELECT item, s.interest
        FROM {sql.parquet([path])} AS a JOIN stable AS s ON a.interest = s.index"""
    )
    there = frozenset(pq.read_schema(staged.path).names)
    rows = checked_rows(f"FROM {sql.parquet([staged.path])}", names, there, ws.config.transitions.k)
    db.execute(f"CREATE TABLE judged AS {rows}")
    days = sorted(day for (day,) in db.sql('SELECT DISTINCT CAST("time" AS DATE) FROM judged').fetchall())
    paths = [one.path for one in files(ws.source, days[0], days[-1])[0] if one.day in days] if days else []
    db.execute(f"CREATE TABLE known AS SELECT id, place, interest FROM ({rows_sql(db, paths)})")
    db.execute(
        """UPDATE judged SET reason = 'another interest is known of this id and place' FROM known
        WHERE judged.reason IS NULL AND known.id = judged.id AND known.place = judged.place
        AND known.interest <> judged.interest"""
    )


def _quarantine(ws: Workspace, db: duckdb.DuckDBPyConnection, staged: Staged) -> dict[str, int]:
    """Keep the rows that can't be used; reason -> rows.

    Raises:
        InputError: there are rows, and none can be used.
    """
    there = frozenset(pq.read_schema(staged.path).names)
    refused = refused_rows(f"FROM {sql.parquet([staged.path])}", "judged", there)
    db.execute(f"CREATE TABLE refused AS {refused}")
    quarantine.keep(db, "refused", staged.source, ws.source / "quarantine", shown=staged.shown)
    found = dict(staged.quarantined)
    for why, count in db.sql(
        "SELECT reason, count(*) FROM judged WHERE reason IS NOT NULL GROUP BY 1"
    ).fetchall():
        found[str(why)] = found.get(str(why), 0) + int(count)
    bad = sum(count for why, count in found.items() if why != FORGOTTEN)
    if bad and sum(found.values()) == staged.rows:
        listed = ", ".join(f"{why}: {count:,}" for why, count in sorted(found.items()))
        raise InputError(
            f"{staged.source}: none of its {staged.rows:,} rows can be used ({listed})",
            hint="quarantine/ has them with the reason; are columns named rightly? --column PART=NAME",
        )
    return dict(sorted(found.items()))


def _write(ws: Workspace, db: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Write rows that are new, a file per day; returns how many, and how many of them have no score."""
    added = unscored = 0
    for table in _new(db):
        table = _scored(ws, table)
        day = table["time"][0].as_py().date().isoformat()
        unscored += int(pc.sum(pc.is_null(table["score"], nan_is_null=True)).as_py() or 0)
        name = hashlib.sha256("\n".join(table["id"].to_pylist()).encode()).hexdigest()[:16]
        path = ws.source / IMPRESSIONS / f"date={day}" / f"imported-{name}-{table.num_rows}.parquet"
        with written(path) as aside:
            pq.write_table(table, aside, compression="zstd")
        added += table.num_rows
    return added, unscored


def _new(db: duckdb.DuckDBPyConnection) -> Iterator[pa.Table]:
    """Usable rows that are not known yet, by day, as `SHOWN` has them."""
    query = f"""SELECT DISTINCT ON (id, place) id, "time", "user", release, context, '' AS answered,
        propensity < 1 AS explored, place, interest, score, propensity, {sql.text(ELSEWHERE)} AS reason,
        items, experiment, arm FROM judged ANTI JOIN known USING (id, place)
        WHERE judged.reason IS NULL AND CAST("time" AS DATE) = $day"""
    days = db.sql(
        'SELECT DISTINCT CAST("time" AS DATE) FROM judged WHERE reason IS NULL ORDER BY 1'
    ).fetchall()
    for (day,) in days:
        table = db.sql(f'FROM ({query}) ORDER BY "time", id, place', params={"day": day}).to_arrow_table()
        if table.num_rows:
            yield table.append_column("user_key", pa.array(keys(table["user"]))).cast(SHOWN)


def _scored(ws: Workspace, table: pa.Table) -> pa.Table:
    """Rows with the scores of the releases that answered, or served then, where they came without."""
    score = table["score"].to_numpy().astype(np.float64)
    if np.isnan(score).any():
        score = np.where(np.isnan(score), scores_by_release(ws, table), score)
    return table.set_column(
        SHOWN.get_field_index("score"), SHOWN.field("score"), pa.array(score, from_pandas=True)
    )


def _import_outcomes(ws: Workspace, db: duckdb.DuckDBPyConnection, scratch: Path, now: datetime) -> int:
    """Import what came of usable rows as events that name them; returns how many are new."""
    table = db.sql(
        f"""SELECT DISTINCT ON (id, place) 'outcome of ' || id || ' ' || place AS id, "user",
        items[1] AS item, outcome_time AS "time", outcome AS "value", id AS {IMPRESSION}
        FROM judged WHERE reason IS NULL AND coalesce(outcome, 0) <> 0 ORDER BY id, place"""
    ).to_arrow_table()
    if not table.num_rows:
        return 0
    draft = scratch / "outcomes.parquet"
    pq.write_table(table, draft)
    columns: Columns = COLUMNS
    settings = ws.config.events.model_copy(update={"columns": columns, "time_format": "iso"})
    keep = {*kept_columns(ws), IMPRESSION}
    return events.EventLog(ws.source).import_events(draft, settings, now=now, keep=keep, refuse=False,
                                                   stored=True).added  # fmt: skip
