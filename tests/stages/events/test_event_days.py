"""Day files last: what an import names is on the disk before it is named."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from freshet.core.time import DAY
from freshet.stages.events.event_days import write_days
from freshet.storage import durable

SCHEMA = pa.schema([("time", pa.timestamp("us", tz="UTC")), ("user", pa.large_string())])


def test_each_file_and_each_new_folder_is_forced_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced, sync = set[Path](), durable.sync

    def noted(path: Path) -> None:
        sync(path)
        forced.add(path)

    monkeypatch.setattr(durable, "sync", noted)
    root, scratch = tmp_path / "shop", tmp_path / "scratch"
    root.mkdir()
    scratch.mkdir()
    times = pa.array([day * DAY for day in range(20)], pa.int64()).cast(SCHEMA.field("time").type)
    batch = pa.record_batch([times, pa.array(["u"] * 20, pa.large_string())], schema=SCHEMA)
    days = write_days(pa.RecordBatchReader.from_batches(SCHEMA, [batch]), root, scratch)
    assert len(days) == 20
    assert {day.path for day in days} <= forced
    assert {day.path.parent for day in days} <= forced
    assert {root, root / "events"} <= forced  # where the new folders have their entries
