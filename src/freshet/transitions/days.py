"""One immutable transitions file per day; an import recounts only the users and days it touched.

Files live in a pool and are named by their content, so that artifacts of different dates share them. The
artifact's `days.json` names, for every day, its engagements and its transitions; comparing two such lists
tells what changed. When engagements of day D change, only the users whose rows differ are walked again,
from D on: nobody else's transitions can have changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.config import TransitionsConfig
from freshet.ports import Progress, silent
from freshet.transitions.engagements import sources, write_engagements
from freshet.transitions.pool import (
    BATCH,
    DAY,
    TRANSITIONS,
    by_day,
    day_name,
    day_number,
    relation,
    write_day,
)
from freshet.transitions.walk import Steps, walk
from freshet.types import RECENT

Entry = dict[str, str | int]
"""{"engagements": file, "transitions": file or "", "rows": transitions} of one day."""


def horizon(config: TransitionsConfig) -> int | None:
    """H in days, None for 'ever'."""
    return None if config.novelty_days == "ever" else int(config.novelty_days)


def count(
    days: Sequence[tuple[date, Path]],
    assignment: Path,
    positive_sql: str,
    interests: int,
    config: TransitionsConfig,
    previous: Path | None,
    pool: Path,
    into: Path,
    memory: str = "1500MB",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Bring the daily transitions up to date with the log.

    Args:
        days: (day, event file) of the snapshot, all before as_of.
        assignment: Parquet of (item, interest index).
        positive_sql: the positive rule as SQL over the event columns.
        interests: N.
        previous: folder of an earlier count with the same interests and settings, or None.
        pool: folder of the content-named day files.
        into: folder of the new artifact; receives `days.json`.
        memory: DuckDB's limit; more spills to disk.

    Returns:
        Summary for the ledger: days, transitions, and how many days and users had to be recounted.
    """
    old = json.loads((previous / "days.json").read_text()) if previous else {}
    before: dict[str, Entry] = old.get("days", {})
    wanted = sources(days, assignment, positive_sql)
    fresh = [(day, path) for day, path in days if wanted[str(day)] != old.get("sources", {}).get(str(day))]
    spill = into.parent / f"{into.name}.spill"
    with duckdb.connect(config={"memory_limit": memory, "temp_directory": str(spill)}) as db:
        db.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        redone = write_engagements(db, fresh, assignment, positive_sql, pool)
        engagements = {day: str(entry["engagements"]) for day, entry in before.items() if day in wanted}
        for day, _ in fresh:
            engagements.pop(str(day), None)
        engagements.update(redone)
        changed = sorted(
            day
            for day in engagements.keys() | before.keys()
            if engagements.get(day) != before.get(day, {}).get("engagements")
        )
        after: dict[str, Entry] = {
            day: {"transitions": "", "rows": 0, **before.get(day, {}), "engagements": name}
            for day, name in engagements.items()
        }
        users = touched = 0
        if changed:
            users = _find_affected(db, pool, changed, before, engagements)
            _recount(db, pool, changed[0], engagements, interests, config, progress)
            touched = _merge(db, pool, changed[0], after)
    content = {"sources": wanted, "days": after}
    (into / "days.json").write_text(json.dumps(content, indent=0, sort_keys=True))
    return {
        "days": len(after),
        "transitions": sum(int(entry["rows"]) for entry in after.values()),
        "recounted_days": touched,
        "recounted_users": users,
    }


def _find_affected(
    db: duckdb.DuckDBPyConnection,
    pool: Path,
    changed: Sequence[str],
    before: dict[str, Entry],
    engagements: dict[str, str],
) -> int:
    """Table `affected` (user_key, since): who must be walked again, from which day number on."""
    was = relation(
        "engagements", [pool / str(before[day]["engagements"]) for day in changed if day in before]
    )
    now = relation("engagements", [pool / engagements[day] for day in changed if day in engagements])
    db.execute(
        f"""CREATE TABLE affected AS
        SELECT user_key, min(time // {DAY}) AS since FROM (
            (FROM {was} EXCEPT FROM {now}) UNION ALL (FROM {now} EXCEPT FROM {was})
        ) GROUP BY user_key"""
    )
    return _one(db, "SELECT count(*) FROM affected")


def _recount(
    db: duckdb.DuckDBPyConnection,
    pool: Path,
    first: str,
    engagements: dict[str, str],
    interests: int,
    config: TransitionsConfig,
    progress: Progress,
) -> None:
    """Table `found`: transitions of the affected users from their `since` on."""
    db.execute(
        f"""CREATE TABLE found
        (user_key UBIGINT, time BIGINT, recent SMALLINT[{RECENT}], successor SMALLINT, known BLOB)"""
    )
    days = horizon(config)
    # H days and one more: a step late on day D looks back into day D - H
    since = "" if days is None else day_name(max(0, day_number(first) - days - 1))
    files = [pool / name for day, name in sorted(engagements.items()) if day >= since]
    rows = relation("engagements", files)
    total = _one(db, f"SELECT count(*) FROM {rows} JOIN affected USING (user_key)")
    reader = (
        db.cursor()  # `db` itself writes while this reads
        .sql(
            f"""SELECT user_key, time, interest, time // {DAY} >= since AS emit
            FROM {rows} JOIN affected USING (user_key) ORDER BY user_key, time, interest"""
        )
        .to_arrow_reader(BATCH)
    )
    done = 0
    for user, time, interest, emit in _whole_users(reader):
        steps = walk(user, time, interest, emit, interests=interests, novelty_days=days, seed=config.seed)
        db.register("batch", _table(steps))
        db.execute("INSERT INTO found FROM batch")
        db.unregister("batch")
        done += len(user)
        progress(done, total)


Columns = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int16], NDArray[np.bool_]]


def _whole_users(reader: pa.RecordBatchReader) -> Iterator[Columns]:
    """Cut the sorted stream where the user changes, so that no user is split between walks."""

    def columns(table: pa.Table) -> Columns:
        return tuple(table[name].to_numpy() for name in ("user_key", "time", "interest", "emit"))

    rest: pa.Table | None = None
    for batch in reader:
        table = pa.Table.from_batches([batch])
        if rest is not None:
            table = pa.concat_tables([rest, table])
        user = table["user_key"].to_numpy()
        if len(user) == 0:
            continue
        cut = int(np.searchsorted(user, user[-1]))  # first row of the last, maybe unfinished user
        if cut:
            yield columns(table.slice(0, cut))
        rest = table.slice(cut)
    if rest is not None and len(rest):
        yield columns(rest)


def _table(steps: Steps) -> pa.Table:
    width = steps.known.shape[1]
    known = pa.Array.from_buffers(
        pa.binary(width), len(steps.user), [None, pa.py_buffer(steps.known.tobytes())]
    )
    return pa.table(
        {
            "user_key": steps.user,
            "time": steps.time,
            "recent": pa.FixedSizeListArray.from_arrays(pa.array(steps.recent.ravel()), RECENT),
            "successor": steps.successor,
            "known": known.cast(pa.binary()),
        }
    )


def _merge(db: duckdb.DuckDBPyConnection, pool: Path, first: str, after: dict[str, Entry]) -> int:
    """Write `found` together with what the other users have in the old files; returns days rewritten."""
    later = [pool / str(e["transitions"]) for day, e in after.items() if day >= first and e["transitions"]]
    held = relation("transitions", later)
    stale = db.execute(
        f"""SELECT t.time // {DAY} FROM {held} t JOIN affected a USING (user_key)
            WHERE t.time // {DAY} >= a.since
        UNION SELECT time // {DAY} FROM found"""
    ).fetchall()
    touched = {day_name(int(number)) for (number,) in stale}
    kept = relation(
        "transitions",
        [pool / str(after[day]["transitions"]) for day in touched if after[day]["transitions"]],
    )
    for day in touched:
        after[day].update(transitions="", rows=0)
    merged = db.sql(
        f"""SELECT user_key, time, recent, successor, known FROM (
            SELECT t.* FROM {kept} t LEFT JOIN affected a USING (user_key)
            WHERE a.since IS NULL OR t.time // {DAY} < a.since
            UNION ALL FROM found
        ) ORDER BY time // {DAY}, user_key, time, successor"""
    ).to_arrow_reader(BATCH)
    for day, table in by_day(merged):
        name = write_day(pool, "transitions", TRANSITIONS, day, table)
        after[day].update(transitions=name, rows=len(table))
    return len(touched)


def _one(db: duckdb.DuckDBPyConnection, query: str) -> int:
    ((value,),) = db.execute(query).fetchall()
    return int(value)
