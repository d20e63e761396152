"""Workspaces with a small experiment whose every impression and event is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from freshet.core.types import Experiment, ExperimentArm, Serves, user_number
from freshet.experiments.measurement.experiment_metrics import columns_read
from freshet.experiments.measurement.impression_files import SHOWN
from freshet.stages.events import EventLog
from freshet.storage.experiment_registry import Experiments
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace

NOW = datetime(2025, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000
START = int(datetime(2024, 3, 1, 9, tzinfo=UTC).timestamp()) * 1_000_000
"""When the experiment of these tests starts: in the morning of a Friday."""


def at(days: float) -> int:
    """So many days after the start, in microseconds since 1970."""
    return START + round(days * DAY)


def experiment(name: str = "try", **other: Any) -> Experiment:
    """Two arms of equal shares; the treatment follows CURRENT."""
    arms = (
        ExperimentArm("control", 0.5, Serves(1)),
        ExperimentArm("treatment", 0.5, Serves(None)),
    )
    known: dict[str, Any] = {
        "salt": name,
        "arms": arms,
        "traffic": 1.0,
        "metrics": ("satisfied",),
        "began": 1,
    }
    return Experiment(name, start=START, **{**known, **other})


def shown(user: str, arm: str, days: float, name: str = "try", **other: Any) -> dict[str, Any]:
    """One row of impressions: an answer with one interest."""
    time = at(days)
    row = {
        "id": f"{user}-{time}",
        "time": time,
        "user": user,
        "release": 1 if arm == "control" else 2,
        "context": [],
        "answered": "pair",
        "explored": False,
        "place": 0,
        "interest": 1,
        "score": -1.0,
        "propensity": 1.0,
        "reason": "mixture",
        "items": [],
        "experiment": name,
        "arm": arm,
        "user_key": user_number(user) if user else 0,
    }
    return {**row, **other}


def event(user: str, days: float, value: float, impression: str = "x", **other: Any) -> dict[str, Any]:
    """One event; by default it names an impression."""
    row = {"user": user, "item": "i0", "time": at(days), "value": value, "impression": impression}
    return {**row, **other}


def naming(recorded: Sequence[dict[str, Any]], answers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events that name "x" name instead the last answer that their user was shown until then, if any."""
    named = []
    for row in recorded:
        seen = [one for one in answers if one["user"] == row["user"] and one["time"] <= row["time"]]
        last = max(seen, key=lambda one: one["time"], default=None)
        named.append({**row, "impression": last["id"]} if last and row["impression"] == "x" else row)
    return named


def write_impressions(root: Path, rows: Sequence[dict[str, Any]], file: str = "some") -> None:
    """Impressions by day, as `collect` writes them."""
    by_day: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_day.setdefault(str(datetime.fromtimestamp(row["time"] / 1e6, UTC).date()), []).append(row)
    for day, some in by_day.items():
        path = root / "impressions" / f"date={day}" / f"{file}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(some, SHOWN), path)


def import_events(ws: Workspace, rows: Sequence[dict[str, Any]]) -> None:
    """Events into the log, as `collect` does."""
    columns = dict.fromkeys(name for row in rows for name in row)
    recorded = {name: pa.array([row.get(name) for row in rows]) for name in columns}
    recorded["time"] = pa.array([row["time"] for row in rows], pa.timestamp("us", "UTC"))
    path = ws.root / "told.parquet"
    pq.write_table(pa.table(recorded), path)
    settings = ws.config.events.model_copy(
        update={
            "columns": ws.config.events.columns.model_copy(
                update={"user": "user", "item": "item", "time": "time", "value": "value"}
            )
        }
    )
    EventLog(ws.root).import_events(path, settings, now=NOW, keep=columns_read(ws.config))


def workspace(root: Path, more: str = "", positive: str = "value >= 7") -> Workspace:
    """An empty workspace with an experiment."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "freshet.toml").write_text(f"[events]\npositive = {json.dumps(positive)}\n{more}")
    ws = open_workspace(root)
    Experiments(ws.root).start(experiment())
    return ws
