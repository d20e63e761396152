"""Batches of messages into the log, without a server: positions, refusals, damage, pruning."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from freshet.core.config import Events, StreamConfig
from freshet.core.errors import ArtifactError, StreamMoved
from freshet.core.ports import Message
from freshet.stages.events import Batch, EventLog, snapshots
from freshet.stages.events.pruning import NEWEST, prune

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def batch(first: int, count: int, begun: str | None, body: bytes | None = None) -> Batch:
    """Messages `first`, ... of partition 0, behind a position."""
    messages = [
        Message("0", str(n), str(n + 1), body or json.dumps(content(n)).encode())
        for n in range(first, first + count)
    ]
    return Batch("kafka/t", "id", {"0": begun}, {"0": str(first + count)}, messages, 10_000)


def content(number: int) -> dict[str, object]:
    return {"user_id": f"u{number}", "item_id": "i", "timestamp": 1_700_000_000 + number, "value": 1}


def take(root: Path, *batches: Batch) -> EventLog:
    log = EventLog(root)
    for one in batches:
        log.import_messages(one, Events(), now=NOW)
    return log


def test_a_batch_enters_only_where_the_log_ends(tmp_path: Path) -> None:
    log = take(tmp_path, batch(0, 5, None))
    for wrong in (batch(0, 5, None), batch(6, 5, "6"), batch(3, 5, "3")):
        with pytest.raises(StreamMoved) as told:
            log.import_messages(wrong, Events(), now=NOW)
        assert told.value.positions == {"0": "5"}
    assert snapshots.listed(tmp_path) == [1]
    take(tmp_path, batch(5, 2, "5"))
    state = log.snapshot().streams["kafka/t"]
    assert (state.positions, state.read, state.added) == ({"0": "7"}, 7, 7)
    assert log.snapshot().rows == 7


def test_events_without_ids_that_are_equal_are_one_and_counted(tmp_path: Path) -> None:
    log = take(tmp_path, batch(0, 3, None), batch(3, 4, "3", json.dumps(content(1)).encode()))
    state = log.snapshot().streams["kafka/t"]
    assert (state.read, state.added, state.duplicates, state.refused) == (7, 3, 4, 0)


def test_a_log_without_streams_is_written_as_ever(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text(json.dumps(content(1)))
    EventLog(tmp_path / "ws").import_events(tmp_path / "e.jsonl", Events(), now=NOW)
    found = json.loads(snapshots.place(tmp_path / "ws", 1).read_text())
    assert sorted(found) == ["days", "format", "version"]
    assert found["format"] == 2


@pytest.mark.parametrize("change", [('"0":"5"', '"0":"4"'), ('"read":5', '"read":6'), ('"check"', '"czeck"')])
def test_damaged_positions_are_noticed(tmp_path: Path, change: tuple[str, str]) -> None:
    take(tmp_path, batch(0, 5, None))
    path = snapshots.place(tmp_path, 1)
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(ArtifactError, match="damaged"):
        snapshots.latest(tmp_path)


def test_a_batch_that_is_read_again_leaves_no_second_quarantine(tmp_path: Path) -> None:
    """As after a kill between quarantine and commit, with another length than before."""
    log = take(tmp_path, batch(0, 3, None, b"poison"))
    snapshots.place(tmp_path, 1).unlink()
    log.import_messages(batch(0, 5, None, b"poison"), Events(), now=NOW)
    assert len(list((tmp_path / "quarantine").iterdir())) == 1
    snapshots.place(tmp_path, 1).unlink()
    log.import_messages(batch(0, 2, None), Events(), now=NOW)
    assert not list((tmp_path / "quarantine").iterdir())


def test_pruning_keeps_what_is_named_and_what_is_young(tmp_path: Path) -> None:
    count = NEWEST + 15
    log = take(tmp_path, *(batch(n, 1, str(n) if n else None) for n in range(count)))
    assert prune(tmp_path, 1.0) == 0
    for path in (tmp_path / "events").rglob("*.*"):
        os.utime(path, (1, 1))
    assert prune(tmp_path, 1.0) == 15
    assert len(snapshots.listed(tmp_path)) == NEWEST == len(list(tmp_path.glob("events/date=*/*.parquet")))
    for day in log.snapshot().days:
        day.verify()
    assert log.snapshot().rows == count


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"kind": "kafka"}, "needs servers and topic"),
        ({"options": {"sasl.password": "x"}}, "is a secret"),
        ({"options": {"enable.auto.commit": True}}, "is set by Freshet"),
        ({"options_env": {"group.id": "X"}}, "is set by Freshet"),
        ({"kind": "redis", "servers": "redis://u:p@h/0", "topic": "t"}, "holds a password"),
        ({"kind": "redis", "servers": "localhost", "topic": "t"}, "is no URL"),
    ],
)
def test_settings_that_are_refused(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        StreamConfig.model_validate(wrong)
