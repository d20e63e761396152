"""How fast are transitions counted, in how much memory, and what does one more day cost?

A simulated log in the form the events stage keeps (one Parquet file per day; ids are strings) is counted by
the production code in a process of its own: item join, positive rule, distinct steps, novelty window,
contexts, day files, and the sums that a refresh asks for. Then one more day arrives. Beside it the same
definition is asked of DuckDB as one query over the same files, which is what one would write without Freshet;
and DuckDB reads those files and applies the rule, which no counting can do without. There are 20 events per
user, and `--days` days whatever the number of events.

    python benchmarks/transitions.py --events 20000000
    python benchmarks/transitions.py --events 100000000 --data DIR
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import resource
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from time import monotonic, process_time
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freshet.backends.executors.local_executor import LocalExecutor
from freshet.core.config import TransitionsConfig
from freshet.core.types import AsOf
from freshet.stages import events
from freshet.stages.transitions import Earlier, TransitionLog, count
from shared import parse, parser, tell

FIRST = date(2020, 1, 1)
ITEMS = 50_000
INTERESTS = 100
NOVELTY = 30
POSITIVE = events.parse("value >= 3").sql
EVENTS_PER_USER = 20
MEMORY = "1200MB"


def main() -> None:
    options = arguments()
    if options.stage:
        print(json.dumps(stage(options)))
        return
    if options.data is not None:
        options.data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.data) as scratch:
        root = Path(scratch)
        result = measure(options, root)
    tell(options, result)


def measure(options: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Generate, count, count one more day, ask the sums, read, and ask DuckDB; each in a fresh process."""
    log = root if options.data is None else options.data / f"log-{options.events}-{options.days}"
    started = monotonic()
    generate(log, options.events, options.days)
    generated = monotonic() - started

    def run(stage: str, **settings: str) -> dict[str, Any]:
        command = [sys.executable, __file__, "--stage", stage, "--log", str(log), "--into", str(root)]
        command += ["--events", str(options.events), "--days", str(options.days)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | settings)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    whole, more, again, sums = run("whole"), run("more"), run("again"), run("sums")
    read = run("read")
    plain = run("plain") if not options.no_plain else None
    return {
        "events_per_s": round(options.events / whole["seconds"]),
        "peak_rss_gb": max(part["peak_rss_gb"] for part in (whole, more, again, sums)),
        "one_day_share": round(more["seconds"] / whole["seconds"], 4),
        "one_of_days": round(1 / options.days, 4),
        "events": options.events,
        "users": options.events // EVENTS_PER_USER,
        "days": options.days,
        "transitions": whole["summary"]["transitions"],
        "seconds_count": whole["seconds"],
        "seconds_warm_up": more["seconds_warm_up"],
        "cpu_seconds_count": whole["cpu_seconds"],
        "seconds_one_more_day": more["seconds"],
        "cpu_seconds_one_more_day": more["cpu_seconds"],
        "recounted_users_one_more_day": more["summary"]["recounted_users"],
        "seconds_unchanged": again["seconds"],
        "seconds_sums_first": sums["seconds"],
        "seconds_sums_all": sums["seconds_all"],
        "sums_asked": sums["asked"],
        "peak_rss_gb_count": whole["peak_rss_gb"],
        "peak_rss_gb_sums": sums["peak_rss_gb"],
        "read_only_events_per_s": round(options.events / read["seconds"]),
        "read_only_cpu_seconds": read["cpu_seconds"],
        "cpu_ratio_to_read_only": round(whole["cpu_seconds"] / max(read["cpu_seconds"], 0.001), 2),
        "plain_sql_events_per_s": plain and round(options.events / plain["seconds"]),
        "plain_sql_cpu_seconds": plain and plain["cpu_seconds"],
        "plain_sql_peak_rss_gb": plain and plain["peak_rss_gb"],
        "plain_sql_transitions": plain and plain["transitions"],
        "ratio_to_plain_sql": plain and round(plain["seconds"] / whole["seconds"], 2),
        "seconds_generation": round(generated, 1),
        "log_gb": folder_gb(log),
        "pool_gb": folder_gb(root / "pool"),
        "cores": os.cpu_count(),
        "simulated": True,
        "versions": {
            name: importlib.metadata.version(name) for name in ("duckdb", "numba", "numpy", "pyarrow")
        },
    }


def stage(options: argparse.Namespace) -> dict[str, Any]:
    """One measured process."""
    log, root = options.log, options.into
    days = [(FIRST + timedelta(days=day), log / f"{day:05d}.parquet") for day in range(options.days + 1)]
    warm_up = 0.0
    if options.stage in ("whole", "more", "again"):  # a process compiles or loads compiled code once
        started = monotonic()
        first, second = f"warm-{options.stage}", f"warmer-{options.stage}"
        counted(log, days[:1], root, first, None, root / "warm")
        counted(log, days[:2], root, second, first, root / "warm")
        warm_up = round(monotonic() - started, 3)
    match options.stage:
        case "whole":
            run = partial(counted, log, days[:-1], root, "whole", None, root / "pool")
        case "more":
            run = partial(counted, log, days, root, "more", "whole", root / "pool")
        case "again":
            run = partial(counted, log, days, root, "again", "more", root / "pool")
        case "sums":
            run = partial(sums, root, days[-1][0])
        case "read":
            run = partial(read, days[:-1])
        case _:
            run = partial(plain, log, days[:-1], root)
    started, before = monotonic(), process_time()
    answer: dict[str, Any] = run()
    seconds = round(monotonic() - started, 3)
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "seconds": seconds,
        "seconds_warm_up": warm_up,
        "cpu_seconds": round(process_time() - before, 3),
    }
    return figures | {"peak_rss_gb": round(used.ru_maxrss * 1024 / 1e9, 3)} | answer


def counted(
    log: Path,
    days: list[tuple[date, Path]],
    root: Path,
    name: str,
    before: str | None,
    pool: Path,
) -> dict[str, Any]:
    into = root / name
    into.mkdir()
    assignment = log / "assignment.parquet"
    previous = Earlier(root / before, assignment) if before else None
    summary = count(
        days,
        assignment,
        POSITIVE,
        INTERESTS,
        TransitionsConfig(novelty_days=NOVELTY),
        previous,
        pool,
        into,
        LocalExecutor(),
    )
    return {"summary": summary}


def sums(root: Path, last: date) -> dict[str, Any]:
    """What a refresh asks: popularity at three half-lives, last interests and pairs, at 6 moments."""
    started = monotonic()
    log = TransitionLog(root / "more", root / "pool", INTERESTS)
    asked, first = 0, 0.0
    for weeks in range(5, -1, -1):
        moment = AsOf(last).minus(7 * weeks)
        for half_life, length in ((7.0, 0), (28.0, 0), (112.0, 0), (224.0, 1), (224.0, 2)):
            log.sums(moment, half_life, length)
            asked += 1
        first = first or monotonic() - started
    for length in range(3):
        log.supports(AsOf(last), 56, length, 3)
    log.between(AsOf(last).minus(7), AsOf(last), limit=20_000)
    return {"seconds": round(first, 3), "seconds_all": round(monotonic() - started, 3), "asked": asked + 4}


def read(days: list[tuple[date, Path]]) -> dict[str, Any]:
    """Every id and time of the positive events, by all threads; nothing is done with them."""
    db = duckdb.connect()
    files = ", ".join(f"'{path}'" for _, path in days)
    db.sql(
        f'SELECT sum(strlen("user")), sum(strlen(item)), max("time") FROM read_parquet([{files}]) '
        f"WHERE {POSITIVE}"
    ).fetchall()
    return {}


def plain(log: Path, days: list[tuple[date, Path]], root: Path) -> dict[str, Any]:
    """The definition as one query: last two distinct interests approximated by the last two engagements."""
    db = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": str(root / "plain")})
    db.execute("SET enable_progress_bar = false; SET preserve_insertion_order = false")
    files = ", ".join(f"'{path}'" for _, path in days)
    horizon = f"INTERVAL {NOVELTY} DAY"
    db.execute(
        f"""COPY (
        WITH engaged AS (
            SELECT DISTINCT e.user, e.time, a.interest FROM read_parquet([{files}]) e
            JOIN '{log / "assignment.parquet"}' a USING (item) WHERE {POSITIVE}
        ), seen AS (
            SELECT *, lag(time) OVER (PARTITION BY user, interest ORDER BY time) AS before,
                lag(interest, 1) OVER w AS last, lag(interest, 2) OVER w AS earlier,
                lag(time, 2) OVER w AS since
            FROM engaged WINDOW w AS (PARTITION BY user ORDER BY time)
        )
        SELECT time::DATE AS day, CASE WHEN time - since <= {horizon} THEN earlier END AS earlier, last,
            interest, count(DISTINCT user) AS users
        FROM seen WHERE before IS NULL OR time - before > {horizon} GROUP BY ALL
        ) TO '{root / "plain.parquet"}'"""
    )
    ((found,),) = db.sql(f"SELECT sum(users) FROM '{root / 'plain.parquet'}'").fetchall()
    return {"transitions": int(found)}


def generate(log: Path, events: int, days: int) -> None:
    """A simulated log of `days` days and one more, a day at a time; kept where it is there already."""
    log.mkdir(parents=True, exist_ok=True)
    if (log / "assignment.parquet").exists():
        return
    random = np.random.default_rng(0)
    popularity = np.cumsum(1 / np.arange(1, ITEMS + 1) ** 0.8)
    popularity /= popularity[-1]
    write = partial(day_file, log, events // days, events // EVENTS_PER_USER, popularity)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(write, range(days + 1)))
    interest = random.integers(0, INTERESTS, ITEMS).astype(np.int16)
    pq.write_table(pa.table({"item": item_ids(), "interest": interest}), log / "assignment.parquet")


def item_ids() -> pa.Array:
    return pa.array([f"item-{number:05d}" for number in range(ITEMS)], pa.large_string())


def day_file(log: Path, size: int, users: int, popularity: np.ndarray, day: int) -> None:
    """Users are uniform, items Zipf (0.8), times to the second, values 1 to 5; sorted by user and time."""
    random = np.random.default_rng(day + 1)
    user = random.integers(0, users, size)
    second = random.integers(0, 86_400, size)
    order = np.lexsort((second, user))
    start = ((FIRST - date(1970, 1, 1)).days + day) * 86_400
    names = user_ids(user[order])
    table = pa.table(
        {
            "user": names,
            "item": item_ids().take(pa.array(np.searchsorted(popularity, random.random(size)))),
            "time": pa.array((start + second[order]) * 1_000_000, pa.timestamp("us")),
            "value": random.integers(1, 6, size).astype(np.float64),
            "id": pa.nulls(size, pa.large_string()),
        }
    )
    # `freshet` is what marks simulated files everywhere
    table = table.replace_schema_metadata({"freshet": "simulated"})
    pq.write_table(table, log / f"{day:05d}.parquet", compression="zstd", row_group_size=1 << 17)


def user_ids(user: np.ndarray) -> pa.Array:
    """`user-0000017` and so on."""
    digits = np.char.zfill(user.astype("U10"), 8)
    return pa.array(np.char.add("user-", digits), pa.large_string())


def folder_gb(folder: Path) -> float:
    return round(sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 1e9, 3)


def arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--events", type=int, default=20_000_000)
    made.add_argument("--days", type=int, default=120)
    made.add_argument("--data", type=Path, help="folder for the log (kept, for another run) and the counts")
    made.add_argument("--no-plain", action="store_true", help="leave out the query that it is compared with")
    made.add_argument("--stage", help=argparse.SUPPRESS)
    made.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    made.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    return parse(made, events=20_000, days=10)


if __name__ == "__main__":
    main()
