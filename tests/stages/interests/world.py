"""A planted world: topics with their own words, users with their own topics; the right clusters are known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TOPICS = ("space", "horror", "garden", "cooking", "sailing", "chess", "opera", "knitting")
WORDS = 6


@dataclass(frozen=True)
class World:
    items: Path
    days: list[Path]
    topic: dict[str, int]


def planted(
    folder: Path,
    *,
    topics: int = 6,
    per_topic: int = 20,
    users: int = 240,
    text: bool = True,
    unseen: int = 0,
    seed: int = 0,
) -> World:
    """Every user engages with 8 items of one topic; the last `unseen` items of a topic have no events."""
    rng = np.random.default_rng(seed)
    rows, topic = [], {}
    for t in range(topics):
        for i in range(per_topic):
            item = f"{t}-{i:03d}"
            picked = rng.choice(WORDS, 3, replace=False)
            words = " ".join(f"{TOPICS[t]}word{'abcdef'[w]}" for w in picked)
            rows.append((item, f"{item}", f"{TOPICS[t]} {words}" if text else "", TOPICS[t]))
            topic[item] = t
    engaged = [
        (f"user{u}", f"{u % topics}-{i:03d}")
        for u in range(users)
        for i in rng.choice(per_topic - unseen, 8, replace=False)
    ]
    items = write_items(folder / "items.parquet", rows)
    half = len(engaged) // 2
    days = [
        write_day(folder / "day0.parquet", engaged[:half], 0),
        write_day(folder / "day1.parquet", engaged[half:], 1),
    ]
    return World(items, days, topic)


def write_items(path: Path, rows: list[tuple[str, str | None, str | None, str | None]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    names = ("item", "title", "text", "kind")
    arrays = {n: pa.array(c, pa.string()) for n, c in zip(names, columns, strict=True)}
    pq.write_table(pa.table(arrays), path)
    return path


def write_day(path: Path, engaged: list[tuple[str, str]], day: int, value: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    start = datetime(2024, 1, 1) + timedelta(days=day)
    table = {
        "id": pa.array([f"{day}-{i}" for i in range(len(engaged))], pa.string()),
        "user": pa.array([user for user, _ in engaged], pa.string()),
        "item": pa.array([item for _, item in engaged], pa.string()),
        "time": pa.array([start + timedelta(seconds=i) for i in range(len(engaged))]),
        "value": pa.array([value] * len(engaged), pa.float64()),
    }
    pq.write_table(pa.table(table), path)
    return path
