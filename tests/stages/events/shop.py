"""A small shop: 240 users, a few days, 96 items in 8 themes; and its log and catalogue in the forms people have."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

EVENT = ("user_id", "item_id", "timestamp", "value")
ITEM = ("item_id", "title", "text")
_RANDOM = random.Random(20)
LOG = [
    (
        f"u{user}",
        str(100 + _RANDOM.randrange(96)),
        1_690_000_000 + _RANDOM.randrange(6 * 86_400),
        _RANDOM.choice((1.0, 2.5, 5.0)),
    )
    for user in range(240)
    for _ in range(2)
]
"""480 events, none twice."""
ACCENTED = ("Café Noël", "Señor Niño", "L’été", "Große Öfen")
CATALOGUE = [
    (str(100 + n), ACCENTED[n // 4 % 4] if n % 4 == 0 else f"Title, number {n}", f"about theme {n % 8}")
    for n in range(96)
]
"""A quarter of the titles has accents, the others a comma."""

Row = Sequence[Any]


def text(rows: Sequence[Row], header: Sequence[str] = EVENT, sep: str = ",") -> str:
    """CSV with quotes where they are needed."""

    def cell(value: Any) -> str:
        return f'"{value}"' if sep in str(value) else str(value)

    return "".join(sep.join(map(cell, row)) + "\n" for row in (header, *rows))


def put(path: Path, content: str | bytes) -> Path:
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet(path: Path, rows: Sequence[Row], header: Sequence[str] = EVENT) -> Path:
    """Write a Parquet file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: [row[n] for row in rows] for n, name in enumerate(header)}), path)
    return path


def quarters() -> list[list[tuple[str, str, int, float]]]:
    """The log in four parts."""
    return [LOG[n::4] for n in range(4)]


def each(change: Callable[[int, tuple[str, str, int, float]], Row]) -> list[Row]:
    """The log with each row changed, by its number."""
    return [change(number, row) for number, row in enumerate(LOG)]
