"""Workspaces that read a stream, messages for them, and what came of these in the log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from threading import Event
from typing import Any

import duckdb

from freshet.stages.events import EventLog, StreamState
from freshet.storage.workspace import Workspace
from freshet.streaming import Consumed, LogConsumer
from freshet.wiring import open_workspace
from freshet.wiring_streams import open_stream
from tests.pipeline.test_keys import toml


def shop(root: Path, kind: str, servers: str, topic: str = "events", **stream: Any) -> Workspace:
    """A workspace without files, whose events have ids."""
    given = {
        "kind": kind,
        "servers": servers,
        "topic": topic,
        "batch_rows": 400,
        "batch_seconds": 0.2,
    } | stream
    lines = [f"{key} = {toml(value)}" for key, value in given.items()]
    root.mkdir(parents=True, exist_ok=True)
    text = '[events]\npositive = "value >= 7"\ncolumns = { id = "id" }\n[stream]\n' + "\n".join(lines) + "\n"
    (root / "freshet.toml").write_text(text)
    return open_workspace(root)


def event(number: int, **changes: Any) -> bytes:
    """An event of its own; a few thousand are on one day."""
    content = {
        "id": f"e{number}",
        "user_id": f"u{number % 50}",
        "item_id": f"i{number % 70}",
        "timestamp": 1_700_000_000 + number * 20,
        "value": number % 10,
    }
    return json.dumps(content | changes).encode()


def consumed(
    ws: Workspace, once: bool = True, group: str | None = None, stop: Event | None = None
) -> Consumed:
    """Read what there is into the log."""
    settings = ws.config.stream
    consumer = LogConsumer(ws, settings, lambda start: open_stream(settings, start, group))
    return consumer.run(stop or Event(), once=once)


def state(ws: Workspace) -> StreamState:
    """Of the one stream of a log."""
    [found] = EventLog(ws.root).snapshot().streams.values()
    return found


def ids(ws: Workspace) -> Counter[str]:
    """Id -> rows of the log; '' for rows without."""
    snapshot = EventLog(ws.root).snapshot()
    if not snapshot.days:
        return Counter()
    rows = duckdb.sql(f"SELECT coalesce(id, '') FROM {snapshot.scan}").fetchall()
    return Counter(id_ for (id_,) in rows)


def check_whole(ws: Workspace, numbers: Iterable[int], read: int, refused: int = 0) -> None:
    """Each event is there once, and each message was counted once: by offsets, not by being recognised."""
    assert ids(ws) == Counter(f"e{number}" for number in numbers)
    found = state(ws)
    assert found.read == read == found.added + found.duplicates + found.refused
    assert found.refused == refused == quarantined(ws)


def quarantined(ws: Workspace) -> int:
    """Messages in quarantine; each partition and offset is there once."""
    rows = refused(ws)
    places = [(partition, offset) for _, partition, offset, _ in rows]
    assert len(set(places)) == len(places)
    return len(rows)


def refused(ws: Workspace) -> list[tuple[str, str, str, str]]:
    """(reason, partition, offset, raw) of all messages in quarantine."""
    if not list((ws.root / "quarantine").glob("*.parquet")):
        return []
    files = str(ws.root / "quarantine" / "*.parquet")
    query = f'SELECT reason, "partition", "offset", raw FROM "{files}" ORDER BY length("offset"), "offset"'
    return duckdb.sql(query).fetchall()


def started(ws: Workspace, *options: str) -> subprocess.Popen[str]:
    """`freshet stream` as a process of its own."""
    package = str(Path(__file__).parents[2] / "src")
    return subprocess.Popen(
        [sys.executable, "-m", "freshet", "stream", "-w", str(ws.root), *options],
        env={**os.environ, "PYTHONPATH": package},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
