"""A synthetic log: 240 users over 60 days, 96 items in 8 themes; a user moves from theme to theme."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freshet.core.types import AsOf
from freshet.stages import events
from freshet.storage.ledger import Quiet
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace

Row = tuple[str, str, datetime]
FIRST = datetime(2022, 3, 1, tzinfo=UTC)
NOW = datetime(2024, 1, 1, tzinfo=UTC)
USERS, DAYS, ITEMS, THEMES = 240, 60, 96, 8
WORDS = (
    "garden roses soil seeds",
    "rocket orbit moon launch",
    "bread flour oven dough",
    "guitar chords song band",
    "marathon shoes pace trail",
    "castle knight sword king",
    "market stocks fund bond",
    "reef shark diver coral",
)
SETTINGS = """
[events]
files = ["log.parquet"]
items = "items.parquet"
{more}
[interests]
count = {interests}
[planner]
kind = "counts"
[sequence]
use = false
[ranker]
use = false
[live]
use = false
"""


def theme_of(item: str) -> int:
    """Items of a theme stand together."""
    return int(item[1:]) * THEMES // ITEMS


def base(seed: int = 0, users: int = USERS, sessions: int = 5) -> list[Row]:
    """About 14 events of each user, in sessions of items of one theme; the next theme is mostly the next one."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        theme = int(rng.integers(THEMES))
        for moment in np.sort(rng.uniform(0, DAYS, sessions)):
            for step in range(int(rng.integers(2, 5))):
                item = theme * (ITEMS // THEMES) + int(rng.integers(ITEMS // THEMES))
                time = FIRST + timedelta(days=float(moment), minutes=3 * step)
                rows.append((f"u{user}", f"i{item}", min(time, FIRST + timedelta(days=DAYS, seconds=-1))))
            theme = (theme + 1) % THEMES if rng.random() < 0.7 else int(rng.integers(THEMES))
    return rows


def write(
    root: Path, rows: Sequence[Row], interests: int = THEMES, more: str = "", no_text: bool = False
) -> Workspace:
    """A workspace of these events, imported, and of all items."""
    root.mkdir(parents=True)
    user, item, time = zip(*rows, strict=True)
    told = {"user": user, "item": item, "time": pa.array(time, pa.timestamp("us", "UTC"))}
    pq.write_table(pa.table(told), root / "log.parquet")
    rng = np.random.default_rng(5)
    texts = (
        [""] * ITEMS
        if no_text
        else [" ".join(rng.permutation(WORDS[theme_of(f"i{n}")].split())[:3]) for n in range(ITEMS)]
    )
    items = {"item": [f"i{n}" for n in range(ITEMS)], "title": texts, "text": texts}
    pq.write_table(pa.table(items), root / "items.parquet")
    (root / "freshet.toml").write_text(SETTINGS.format(interests=json.dumps(interests), more=more))
    ws = open_workspace(root, Quiet())
    events.EventLog(ws.root).import_events(root / "log.parquet", ws.config.events, now=NOW)
    return ws


def day(number: int) -> AsOf:
    """A day of the log, counted from 0."""
    return AsOf((FIRST + timedelta(days=number)).date())
