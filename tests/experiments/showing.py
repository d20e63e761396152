"""What was shown, and the events that name it, put into a workspace without serving."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from freshet.core.config import Columns
from freshet.core.types import Interests, user_number
from freshet.experiments.measurement.impression_files import IMPRESSIONS, SHOWN
from freshet.experiments.measurement.labels import assignment_of
from freshet.stages.events import EventLog
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.workspace import Workspace
from tests.pipeline.world import NOW

HOUR = 3_600_000_000


def at(day: str, hour: float = 12.0) -> int:
    """Microseconds since 1970."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000 + int(hour * HOUR)


def shown(id: str, time: int, interest: int, **other: Any) -> dict[str, Any]:
    """A row of `SHOWN`."""
    row = {
        "id": id,
        "time": time,
        "user": f"user of {id}",
        "release": 1,
        "context": [],
        "answered": "popular",
        "explored": False,
        "place": 0,
        "interest": interest,
        "score": -2.0,
        "propensity": 1.0,
        "reason": "mixture",
        "items": [],
        "experiment": "",
        "arm": "",
    } | other
    return {"user_key": user_number(row["user"]) if row["user"] else 0} | row


def show(
    ws: Workspace, rows: Sequence[dict[str, Any]], name: str = "test", schema: pa.Schema = SHOWN
) -> None:
    """Write impressions."""
    days: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        day = datetime.fromtimestamp(row["time"] // 1_000_000, UTC).date().isoformat()
        days.setdefault(day, []).append(row)
    for day, some in days.items():
        path = ws.root / IMPRESSIONS / f"date={day}" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(some, schema), path)


def record_events(ws: Workspace, recorded: Sequence[tuple[str, str, int, float, str]], folder: Path) -> None:
    """Import events (user, item, time, value, impression)."""
    columns = list(zip(*recorded, strict=True))
    names = ("user", "item", "time", "value", "impression")
    table = pa.table(
        {
            name: pa.array(column, pa.timestamp("us", "UTC")) if name == "time" else pa.array(column)
            for name, column in zip(names, columns, strict=True)
        }
    )
    path = folder / "told.parquet"
    pq.write_table(table, path)
    settings = ws.config.events.model_copy(
        update={"columns": Columns(user="user", item="item", time="time", value="value", id="")}
    )
    EventLog(ws.root).import_events(path, settings, now=NOW, keep=("impression",))


def assigned(ws: Workspace, known: Interests) -> tuple[Artifact, dict[int, list[str]]]:
    """The assignment of the current release, and the items of each interest by stable id."""
    release = ws.releases.current()
    assert release is not None
    table = committed(ws.store, "tables", release.table)
    made = assignment_of(ws, table.manifest["inputs"]["transitions"])
    rows = pq.read_table(made.path / "assignment.parquet").to_pylist()
    items: dict[int, list[str]] = {int(id): [] for id in known.ids}
    for row in rows:
        if row["interest"] >= 0:
            items[int(known.ids[row["interest"]])].append(row["item"])
    return made, {id: sorted(some) for id, some in items.items()}


def by_interest(items: dict[int, list[str]], count: int) -> list[int]:
    """Stable ids of interests with at least so many items."""
    return [id for id, some in sorted(items.items()) if len(some) >= count]
