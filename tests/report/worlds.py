"""A small SIMULATED workspace with two releases, awkward titles and rows that can't be used."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from freshet import pipeline
from freshet.core.types import AsOf
from freshet.simulator import World, generate
from freshet.stages.events.step import import_sources
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace

WORLD = World(themes=12, items=120, users=350, days=90, drift="abrupt", change_day=62, sessions=6.0)
EARLIER, LATEST = AsOf.parse("2024-03-25"), AsOf.parse("2024-03-31")
TITLE = "<script>alert('x')</script> & \"quoted\" 🎬"
BAD_USER = "<b>bad</b>"


def make(root: Path, planner: str, least_recall: float = 0.0) -> Workspace:
    """A workspace with its log imported and nothing run."""
    data = root / "data"
    generate(WORLD, data)
    items = pq.read_table(data / "items.parquet")
    titles = pa.array([f"{TITLE} {number}" for number in range(items.num_rows)])
    place = items.schema.get_field_index("title")
    pq.write_table(items.set_column(place, "title", titles), data / "items.parquet")
    (data / "more.csv").write_text(
        f"user_id,item_id,timestamp,value\n{BAD_USER},i1,not a time,8\n{BAD_USER},i2,neither,8\n"
        ",i1,2024-02-01,8\nsomebody,i3,2024-02-01,8\n"
    )
    (root / "freshet.toml").write_text(
        f"""
[events]
files = ["data/events.parquet", "data/more.csv"]
items = "data/items.parquet"
positive = "value >= 7"
[interests]
count = 12
[planner]
kind = "{planner}"
[tuning]
seed = 3
[gates]
recall = {least_recall}
[evidence]
level = "instance"
[inference]
calibration_prompts = 200
"""
    )
    ws = open_workspace(root)
    with ws.run("import") as run:
        import_sources(ws, run, datetime(2026, 1, 1, tzinfo=UTC))
    return ws


def publish_twice(ws: Workspace) -> None:
    """A release of an earlier moment, then one of the latest."""
    for moment in (EARLIER, LATEST):
        pipeline.refresh(ws, moment, publish=True)
