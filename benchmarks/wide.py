"""Do tables of thousands of interests fit: how long do they take to publish and to open, in how much memory?

    python benchmarks/wide.py --json
    python benchmarks/wide.py --interests 5000 --events 2000000

A SIMULATED log (Zipf popularity; half of all steps follow one of 20 successors that each interest has) with
`--interests` interests, which a taxonomy column names, k = 2, `kind = "counts"`, default settings; beside it
one of `--small` interests from as many events. Each stage is a process of its own, whose peak memory is told:

publish   `freshet refresh` of a new day, all of it: counting, fitting, table, checks, churn gate, release;
          `steps` = seconds of the ledger. The run that forms interests and counts the log before comes first
          (`first`): it is told, but is no part of `publish`.
open      opening the release as a server does (`opened`), and the table alone (`table_opened`)
look_up   `Table.look_up` of the last two interests of users: microseconds, median of rounds in which wide and
          small tables alternate; `ratio` = wide / small. `recommend_us` is a whole answer, which scores all N
          interests for the user; it grows with N.
rows      of the table, of as many ordered pairs as N interests have; `listed_share` = share of users with two
          recent interests whose pair has a row.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shared import Show, parse, parser, tell

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 120
FRESH = 2
"""Days between the first table and the one whose publishing is measured."""
PER_USER = 25
FOLLOWERS = 20
ITEMS_EACH = 4
SETTINGS = """[events]
files = ["events.parquet"]
items = "items.parquet"
[interests]
taxonomy = "category"
count = {interests}
[transitions]
novelty_days = 30
[planner]
kind = "counts"
[live]
use = {live}
[table]
max_churn = 1.0
"""


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--interests", type=int, default=5000)
    made.add_argument("--small", type=int, default=200)
    made.add_argument("--events", type=int, default=1_000_000)
    made.add_argument("--rounds", type=int, default=9)
    made.add_argument("--no-live", action="store_true", help="without live signals")
    made.add_argument("--keep", type=Path, help="leave the workspaces in this folder")
    made.add_argument("--stage", help=argparse.SUPPRESS)
    options = parse(made, interests=1100, small=40, events=60_000, rounds=3)
    if options.stage:
        print(json.dumps(STAGES[options.stage](options.keep)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        tell(options, measure(options, options.keep or Path(scratch)))


def measure(options: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Both workspaces, stage by stage."""
    show, found = Show(), {}
    for name, interests in (("wide", options.interests), ("small", options.small)):
        place = root / name
        generate(place, interests, options.events, live=not options.no_live)
        for stage in ("first", "publish", "open"):
            show.say(f"{name}: {stage}")
            found[name] = {**found.get(name, {}), stage: staged(stage, place)}
        release = found[name]["publish"]
        found[name] |= {
            "interests": interests,
            "rows": release["rows"],
            "pairs": interests * (interests - 1),
            "table_mb": release["table_mb"],
        }
    show.say("look-ups")
    return {"simulated": True, "events": options.events, **found, "look_up": look_ups(root, options.rounds)}


def staged(stage: str, place: Path) -> dict[str, Any]:
    """One stage in a process of its own, with its seconds and its peak memory."""
    command = [sys.executable, __file__, "--stage", stage, "--keep", str(place)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def generate(into: Path, interests: int, events: int, *, live: bool) -> None:
    """A SIMULATED log and its settings; kept where it is there already."""
    if (into / "freshet.toml").exists():
        return
    into.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    users = events // PER_USER
    popular = 1 / np.arange(1, interests + 1) ** 0.8
    popular = np.cumsum(popular / popular.sum())
    after = np.searchsorted(popular, random.random((interests, FOLLOWERS)))
    visited = np.empty((users, PER_USER), np.int64)
    visited[:, 0] = np.searchsorted(popular, random.random(users))
    for step in range(1, PER_USER):
        follows = random.random(users) < 0.5
        next_one = after[visited[:, step - 1], random.integers(0, FOLLOWERS, users)]
        visited[:, step] = np.where(follows, next_one, np.searchsorted(popular, random.random(users)))
    seconds = np.sort(random.integers(0, DAYS * 86_400, (users, PER_USER)), axis=1)
    items = visited * ITEMS_EACH + random.integers(0, ITEMS_EACH, visited.shape)
    start = int(START.timestamp())
    log = pa.table(
        {
            "user": pa.array(np.repeat(np.arange(users), PER_USER)).cast(pa.string()),
            "item": pa.array(items.ravel()).cast(pa.string()),
            "time": pa.array((start + seconds.ravel()) * 1_000_000, pa.timestamp("us")),
        }
    ).replace_schema_metadata({"freshet": "simulated"})
    pq.write_table(log, into / "events.parquet")
    number = np.arange(interests * ITEMS_EACH)
    catalogue = pa.table(
        {
            "item": pa.array(number).cast(pa.string()),
            "title": pa.array([f"item {n}" for n in number.tolist()]),
            "category": pa.array([f"interest {n // ITEMS_EACH}" for n in number.tolist()]),
        }
    )
    pq.write_table(catalogue, into / "items.parquet")
    (into / "freshet.toml").write_text(
        SETTINGS.format(interests=interests, live=str(live).lower()), encoding="utf-8"
    )


def first(place: Path) -> dict[str, Any]:
    """Import, form interests, count, and make the table of before."""
    return _made(place, DAYS - FRESH, imports=True)


def publish(place: Path) -> dict[str, Any]:
    """Refresh to the end of the log, and publish."""
    return _made(place, DAYS, imports=False)


def _made(place: Path, day: int, *, imports: bool) -> dict[str, Any]:
    from freshet import operations, pipeline
    from freshet.core.types import AsOf
    from freshet.wiring import open_workspace

    started = time.monotonic()
    ws = open_workspace(place, Show())
    if imports:
        operations.import_log(ws, datetime.now(UTC))
    as_of = AsOf.parse(str((START + timedelta(days=day)).date()))
    record = pipeline.refresh(ws, as_of, publish=True)
    found = _measured(started)
    release = ws.releases.current()
    assert release is not None
    table = ws.store.find("tables", release.table)
    assert table is not None
    size = sum(file.stat().st_size for file in table.path.rglob("*") if file.is_file())
    return {
        **found,
        "rows": table.manifest["rows"],
        "table_mb": round(size / 2**20, 1),
        "steps": {step.name: round(step.seconds, 2) for step in record.steps if step.seconds >= 0.05},
    }


def opened(place: Path) -> dict[str, Any]:
    """Open the current release as a server does, and answer one person."""
    from freshet import Recommender

    started = time.monotonic()
    with Recommender.open(place) as serving:
        found = _measured(started)
        serving.recommend(history=histories(place)[0], interests=5)
        return {**found, "answered_peak_rss_gb": _rss()}


def histories(place: Path) -> list[list[str]]:
    """The last two items of people, oldest first, in random order."""
    item = pq.read_table(place / "events.parquet", columns=["item"])["item"]
    last = np.arange(PER_USER, len(item), PER_USER)[:, None] + [-2, -1]
    chosen = np.random.default_rng(1).permutation(last)[:2000]
    return [item.take(rows).to_pylist() for rows in chosen]


def look_ups(root: Path, rounds: int) -> dict[str, Any]:
    """Rounds in which the tables take turns, in one process; and whole answers."""
    from freshet import Recommender
    from freshet.core.types import Context
    from freshet.inspect import open_release
    from freshet.stages.table import Table
    from freshet.wiring import open_workspace

    def seconds(table: Table, asked: list[Context]) -> float:
        start = time.perf_counter()
        for context in asked:
            table.look_up(context)
        return (time.perf_counter() - start) / len(asked)

    tables: dict[str, Table] = {}
    asked: dict[str, list[Context]] = {}
    found: dict[str, Any] = {}
    for name in ("wide", "small"):
        start = time.perf_counter()
        tables[name] = open_release(open_workspace(root / name, Show())).table
        users = histories(root / name)
        pairs = [tuple(int(item) // ITEMS_EACH for item in user) for user in users]
        asked[name] = [pair for pair in pairs if pair[0] != pair[1]]
        listed = [tables[name].row_number(pair) is not None for pair in asked[name]]
        found[name] = {
            "table_opened_s": round(time.perf_counter() - start, 3),
            "listed_share": round(statistics.mean(listed), 4),
            "recommend_us": round(recommend_us(Recommender.open(root / name), users[:300]), 1),
        }
    taken: dict[str, list[float]] = {name: [] for name in tables}
    for number in range(rounds + 1):
        for name, table in tables.items():
            one = seconds(table, asked[name])
            if number:  # the first warms
                taken[name].append(one)
    for name, each in taken.items():
        found[name]["microseconds"] = round(statistics.median(each) * 1e6, 2)
        found[name]["look_ups_per_s"] = round(1 / statistics.median(each))
    ratios = [wide / small for wide, small in zip(taken["wide"], taken["small"], strict=True)]
    found["ratio"] = round(statistics.median(ratios), 3)
    found["ratio_range"] = [round(min(ratios), 3), round(max(ratios), 3)]
    return found


def recommend_us(serving: Any, users: list[list[str]]) -> float:
    """Median microseconds of an answer for the last two items of a person."""
    taken = []
    with serving:
        for history in users:
            start = time.perf_counter()
            serving.recommend(history=history, interests=5)
            taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1e6


def _measured(started: float) -> dict[str, Any]:
    seconds, cpu = time.monotonic() - started, time.process_time()
    return {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "peak_rss_gb": _rss()}


def _rss() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)


STAGES = {"first": first, "publish": publish, "open": opened}

if __name__ == "__main__":
    main()
