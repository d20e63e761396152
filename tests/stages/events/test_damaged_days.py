"""A day of events whose pages are damaged is named where people are looked for in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from freshet.core.config import Events
from freshet.core.errors import ArtifactError
from freshet.stages.events import EventLog, log_forgetting


def test_a_damaged_day_is_named(tmp_path: Path) -> None:
    source = tmp_path / "events.csv"
    rows = "".join(f"user {number},item {number % 7},2024-01-01T10:00:00Z\n" for number in range(2000))
    source.write_text(f"user,item,time\n{rows}")
    EventLog(tmp_path).import_events(source, Events(), now=datetime(2026, 1, 1, tzinfo=UTC))
    [path] = (tmp_path / "events").glob("date=*/*.parquet")
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)  # what its end says of it is whole
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=path.stem):
        log_forgetting.events_of(tmp_path, ["user 5"])
