"""A day of events whose pages are damaged is named by whoever meets it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from freshet.core.config import Events
from freshet.core.errors import ArtifactError
from freshet.stages.events import EventLog, damaged_days, log_forgetting

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Events.model_validate({"columns": {"id": "event_id"}})
HEAD = "user,item,time,event_id\n"


def log_with_a_damaged_day(folder: Path) -> Path:
    """The damaged file; what its end says of it is whole."""
    source = folder / "events.csv"
    rows = "".join(
        f"user {number},item {number % 7},2024-01-01T10:00:00Z,id{number}\n" for number in range(2000)
    )
    source.write_text(HEAD + rows)
    EventLog(folder).import_events(source, SETTINGS, now=NOW)
    [path] = (folder / "events").glob("date=*/*.parquet")
    content = bytearray(path.read_bytes())
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    content[4:end] = bytes(end - 4)
    path.write_bytes(content)
    return path


def test_where_people_are_looked_for(tmp_path: Path) -> None:
    path = log_with_a_damaged_day(tmp_path)
    with pytest.raises(ArtifactError, match=path.stem):
        log_forgetting.events_of(tmp_path, ["user 5"])


@pytest.mark.parametrize("day", ["2024-01-01", "2024-01-02"])
def test_where_more_events_are_imported(tmp_path: Path, day: str) -> None:
    """Events with ids are looked for on all days; those of the same day are joined with it."""
    path = log_with_a_damaged_day(tmp_path)
    more = tmp_path / "more.csv"
    more.write_text(f"{HEAD}user 1,item 1,{day}T11:00:00Z,id50x\n")
    with pytest.raises(ArtifactError, match=path.stem):
        EventLog(tmp_path).import_events(more, SETTINGS, now=NOW)


def test_what_is_no_damage_is_not_told_as_one() -> None:
    with pytest.raises(duckdb.InterruptException), damaged_days.reading([]):
        raise duckdb.InterruptException("by somebody")
    with pytest.raises(ArtifactError, match="can't be read: odd"), damaged_days.reading([]):
        raise duckdb.Error("odd")
