"""How long it takes to analyse an experiment of 100 million exposures, and how much memory.

    python benchmarks/exposures.py --folder exposures --rows 100000000 --json

SIMULATED: a workspace is made once in `--folder` (28 days of impressions of `--users` users in two arms, one
exposure per row with all columns that `collect` writes; events of the 28 days before and of the experiment,
each a fifth as many) and analysed in a process of its own: `analysis` is what `freshet experiment report`
measures (satisfied, satisfaction, dissatisfied, every day, CUPED), `seconds` its wall clock and `peak_mb` the
most memory that its process held. `reading` is DuckDB alone, going once over the columns that the analysis
needs, in the same run; `ratio` is analysis against that. `reports`: effects found, which were put in as none.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.core.user_numbers import keys
from freshet.experiments.assignment import arms_of
from freshet.experiments.measurement.comparison import compare
from freshet.experiments.measurement.experiment_metrics import named
from freshet.experiments.measurement.measure import measure
from freshet.stages.events.event_days import write_days
from freshet.stages.events.snapshots import Snapshot, commit, latest
from freshet.storage.experiment_registry import Experiments
from freshet.wiring import open_workspace
from shared import folder, parse, parser, tell

DAYS = 28
FIRST = date(2024, 6, 1)
NAMES = ("satisfied", "satisfaction", "dissatisfied")
EXPERIMENT = Experiment(
    "large",
    "large",
    (ExperimentArm("control", 0.5, Serves(1)), ExperimentArm("treatment", 0.5, Serves(None))),
    1.0,
    NAMES,
    int(datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC).timestamp()) * 1_000_000,
    1,
)


def main() -> None:
    """Make the workspace if it isn't there, measure, and print."""
    made = parser(__doc__)
    made.add_argument("--folder", type=Path)
    made.add_argument("--rows", type=int, default=100_000_000)
    made.add_argument("--users", type=int, default=5_000_000)
    made.add_argument("--part", choices=("analysis", "reading"), help=argparse.SUPPRESS)
    options = parse(made, "folder", rows=20_000, users=2000)
    if options.part:
        root = options.folder / f"{options.rows}-{options.users}"
        json.dump(analysis(root) if options.part == "analysis" else reading(root), sys.stdout)
        return
    with folder(options.folder) as kept:
        tell(options, measured(options, kept))


def measured(options: argparse.Namespace, kept: Path) -> dict[str, Any]:
    """Each part in a process of its own."""
    root = kept / f"{options.rows}-{options.users}"
    if not (root / "made").exists():
        make(root, options.rows, options.users)
    found: dict[str, Any] = {"rows": options.rows, "users": options.users, "simulated": True}
    for part in ("analysis", "reading"):
        call = [sys.executable, __file__, "--folder", str(kept), "--part", part]
        call += ["--rows", str(options.rows), "--users", str(options.users)]
        found[part] = json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
    found["ratio"] = round(found["analysis"]["seconds"] / found["reading"]["seconds"], 1)
    return found


def analysis(root: Path) -> dict[str, Any]:
    """What the report measures."""
    ws = open_workspace(root)
    metrics = named(ws.config, NAMES)
    begin = time.perf_counter()
    measured = measure(ws, EXPERIMENT, metrics)
    effects = compare(measured)
    seconds = time.perf_counter() - begin
    return {
        "seconds": round(seconds, 3),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "exposed": len(measured.exposures.users),
        "events": measured.events,
        "effects": {one.metric: [round(x, 5) for x in (one.effect, *one.fixed)] for one in effects},
    }


def reading(root: Path) -> dict[str, Any]:
    """DuckDB going once over the same columns of the same files."""
    shown, events = f"'{root}/impressions/*/*.parquet'", latest(root)[1].scan
    begin = time.perf_counter()
    with duckdb.connect() as db:
        db.sql(
            f"""SELECT count(experiment), count(arm), sum(user_key % 2), max(time), sum(place), sum(release),
                count(reason) FROM read_parquet({shown})"""
        ).fetchall()
        db.sql(f'SELECT max("user"), max("time"), sum(value), count(impression) FROM {events}').fetchall()
    return {"seconds": round(time.perf_counter() - begin, 3)}


def make(root: Path, rows: int, users: int) -> None:
    """Write the workspace, a day at a time."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "freshet.toml").write_text('[events]\npositive = "value >= 7"\n')
    if not Experiments(root).all():
        Experiments(root).start(EXPERIMENT)
    with duckdb.connect() as db:
        people = pa.chunked_array([pa.array([f"user-{n}" for n in range(users)])])
        key = keys(people)
        arm = np.array(["control", "treatment"])[arms_of(EXPERIMENT, key)]
        db.register("told", pa.table({"user": people, "key": key, "arm": arm}))
        db.execute("CREATE TABLE people AS SELECT row_number() OVER () - 1 AS n, * FROM told")
        for day in range(DAYS):
            _impressions(db, root, FIRST + timedelta(days=day), rows // DAYS, users)
        _events(db, root, rows // DAYS // 5, users)
    (root / "made").touch()


def _impressions(db: duckdb.DuckDBPyConnection, root: Path, day: date, rows: int, users: int) -> None:
    path = root / "impressions" / f"date={day}" / "made.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    db.execute(
        f"""COPY (SELECT md5('{day} ' || s.i) AS id, TIMESTAMP '{day}' + to_microseconds(
                CAST(86400e6 * s.i / {rows} AS BIGINT)) AS time, p.user, CASE WHEN p.arm = 'control' THEN 1
                ELSE 2 + (DATE '{day}' - DATE '{FIRST}') // 7 END AS release,
                [CAST(s.i % 211 AS INTEGER), CAST(s.i % 97 AS INTEGER)] AS context, 'pair' AS answered,
                s.i % 10 = 0 AS explored, CAST(0 AS INTEGER) AS place, CAST(s.i % 300 AS INTEGER) AS interest,
                -random() AS score, CASE WHEN s.i % 10 = 0 THEN random() ELSE 1 END AS propensity,
                CASE WHEN s.i % 10 = 0 THEN 'explored' WHEN s.i % 7 = 0 THEN 'live'
                ELSE 'mixture' END AS reason,
                ['item-' || s.i % 50021, 'item-' || s.i % 49999, 'item-' || s.i % 48611] AS items,
                'large' AS experiment, p.arm, p.key AS user_key
            FROM {_visits(day, rows, users)} AS s
            JOIN people AS p USING (n)) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"""
    )
    print(day, file=sys.stderr)


def _visits(day: date, rows: int, users: int, every: int = 1) -> str:
    """Every so many of a day's visits, numbered by `i`, of users `n`: some come far more often."""
    place = f"hash('{day}', {every} * i) / 18446744073709551616.0"
    return f"""(SELECT {every} * i AS i, CAST(floor({users} * pow({place}, 2)) AS BIGINT) AS n
        FROM range({rows}) AS r(i))"""


def _events(db: duckdb.DuckDBPyConnection, root: Path, rows: int, users: int) -> None:
    """As many before the start as after it; who is shown more does more."""
    scratch = root / "scratch"
    scratch.mkdir(exist_ok=True)
    days = []
    for number in range(-DAYS, DAYS):
        day = FIRST + timedelta(days=number)
        days += write_days(_told(db, day, rows, users, number >= 0), root, scratch)
        print(day, file=sys.stderr)
    commit(root, latest(root)[0] + 1, Snapshot.of(days))


def _told(
    db: duckdb.DuckDBPyConnection, day: date, rows: int, users: int, follows: bool
) -> pa.RecordBatchReader:
    impression = f"md5('{day} ' || s.i)" if follows else "NULL"
    query = f"""SELECT CAST(NULL AS VARCHAR) AS id, p.user, 'item-' || s.i % 50021 AS item,
            TIMESTAMP '{day}' + to_microseconds(CAST(86400e6 * s.i / {5 * rows} AS BIGINT)) AS time,
            floor(1 + 10 * random()) AS value, CAST({impression} AS VARCHAR) AS impression
        FROM {_visits(day, rows, users, 5)} AS s
        JOIN people AS p USING (n) ORDER BY p.user, time"""
    reader = db.sql(query).to_arrow_reader(1 << 17)
    schema = pa.schema(
        [(f.name, pa.large_string() if pa.types.is_string(f.type) else f.type) for f in reader.schema]
    )
    return pa.RecordBatchReader.from_batches(schema, _cast(reader, schema))


def _cast(reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        yield batch.cast(schema)


if __name__ == "__main__":
    main()
