"""A synthetic log, and the ways in which tools write its times and values."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

USERS, DAYS, ITEMS, THEMES = 240, 60, 96, 8
START = datetime(2022, 3, 1, tzinfo=UTC)
NOW = datetime(2022, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class One:
    """An event."""

    user: str
    item: str
    time: datetime
    value: int


def log(days: int = DAYS, start: datetime = START, seed: int = 7) -> list[One]:
    """About 20 events a day, in order of time; users keep to two of the eight themes."""
    draw = random.Random(seed)
    found = []
    for day in range(days):
        for _ in range(20):
            user = draw.randrange(USERS)
            theme = draw.choice((user % THEMES, (user // THEMES) % THEMES))
            item = theme * (ITEMS // THEMES) + draw.randrange(ITEMS // THEMES)
            time = start + timedelta(days=day, seconds=draw.randrange(86_400))
            found.append(One(f"u{user}", f"i{item}", time, draw.randrange(2)))
    return sorted(found, key=lambda one: one.time)


def csv(
    path: Path,
    events: list[One],
    time: Callable[[datetime], Any] = datetime.isoformat,
    value: Callable[[int], Any] = str,
    more: dict[str, Callable[[datetime], Any]] | None = None,
    column: str = "timestamp",
) -> Path:
    """Write events as CSV, every field quoted; `more` are columns made from the time."""
    further = more or {}
    lines = [",".join(["user_id", "item_id", column, "value", *further])]
    for one in events:
        fields = [
            one.user,
            one.item,
            time(one.time),
            value(one.value),
            *(f(one.time) for f in further.values()),
        ]
        lines.append(",".join(f'"{field}"' for field in fields))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def parquet(
    path: Path, events: list[One], times: pa.Array, column: str = "timestamp", **options: Any
) -> Path:
    """Write events as Parquet with a ready column of times."""
    table = pa.table(
        {
            "user_id": [one.user for one in events],
            "item_id": [one.item for one in events],
            column: times,
            "value": [one.value for one in events],
        }
    )
    pq.write_table(table, path, **options)
    return path
