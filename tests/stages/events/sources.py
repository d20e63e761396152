"""Small sources on disk, and what the log holds of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from freshet.core.config import Events
from freshet.stages.events import EventLog, ImportReport, Snapshot

NOW = datetime(2024, 1, 10, tzinfo=UTC)
Row = dict[str, Any]


def write(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows as the format that the path's ending says; CSV quotes every field."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        lines = [",".join(rows[0])]
        lines += [",".join(_quoted(value) for value in row.values()) for row in rows]
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def _quoted(value: Any) -> str:
    return "" if value is None else '"' + str(value).replace('"', '""') + '"'


def event(user: Any = "u", item: Any = "i", time: Any = "2024-01-02T03:04:05Z", value: Any = 8) -> Row:
    return {"user_id": user, "item_id": item, "timestamp": time, "value": value}


def take(
    root: Path, source: Path, *, replace: bool = False, refuse: bool = True, **settings: Any
) -> ImportReport:
    return EventLog(root).import_events(source, Events(**settings), now=NOW, replace=replace, refuse=refuse)


def events(snapshot: Snapshot, columns: str = 'id, "user", item, "time", value') -> list[tuple[Any, ...]]:
    """The log's rows in the order of its files."""
    if not snapshot.days:
        return []
    return duckdb.sql(f"SELECT {columns} FROM {snapshot.scan}").fetchall()


def quarantined(root: Path) -> list[tuple[Any, ...]]:
    """(row, line, reason, raw) of everything in quarantine."""
    files = sorted((root / "quarantine").glob("*.parquet"))
    return [tuple(row.values()) for path in files for row in pq.read_table(path).to_pylist()]
