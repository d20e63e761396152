"""Logs that can't be written: lines are lost and counted, nothing else happens."""

from __future__ import annotations

import errno
import io
import json
import os
import threading
from pathlib import Path

import pytest

from freshet.http import json_log
from freshet.http.json_log import MOST, JsonLog


class Disk(io.StringIO):
    """A stream on a disk that may be full."""

    full = False

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_a_full_disk_costs_lines_and_says_how_many() -> None:
    disk = Disk()
    log = JsonLog(disk)
    disk.full = True
    for _ in range(MOST + 1):
        log.add("info", "request", {})
    log.add("error", "upkeep", {})
    assert log.lost == MOST + 2
    disk.full = False
    log.add("error", "upkeep", {})
    log.add("error", "upkeep", {})
    lines = [json.loads(line) for line in disk.getvalue().splitlines() if line]
    assert [line["event"] for line in lines] == ["lines_lost", "upkeep", "upkeep"]
    assert lines[0]["lines"] == MOST + 2


def test_a_real_full_device_and_a_closed_stream_raise_nothing() -> None:
    full = Path("/dev/full").open("w")  # noqa: SIM115 - closing it fails
    log = JsonLog(full)
    log.add("error", "upkeep", {})
    assert log.lost == 1
    with pytest.raises(OSError, match="No space left"):
        full.close()
    log.add("error", "upkeep", {})
    assert log.lost == 2


def test_a_stream_that_blocks_holds_up_nobody_who_logs() -> None:
    """As a disk does that is busy with somebody else's fsync, or a pipe that nobody reads."""
    reading, writing = os.pipe()
    fields = {"text": "x" * 1000}
    with os.fdopen(reading) as pipe, os.fdopen(writing, "w") as stream:
        log = JsonLog(stream)
        log.deferred = True
        added = threading.Thread(target=lambda: [log.add("error", "upkeep", fields) for _ in range(200)])
        added.start()
        added.join(30)
        assert not added.is_alive()  # 200 kB, of which a pipe holds 64
        blocked = threading.Thread(target=log.write)
        blocked.start()
        log.add("error", "upkeep", {})
        assert len([pipe.readline() for _ in range(200)]) == 200
        blocked.join(30)
        log.write()
        assert json.loads(pipe.readline())["event"] == "upkeep"


def test_lines_that_nobody_writes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_log, "DEFERRED", 3)
    stream = io.StringIO()
    log = JsonLog(stream)
    log.deferred = True
    for _ in range(5):
        log.add("info", "request", {})
    assert log.lost == 2
    log.write()
    assert [json.loads(line)["event"] for line in stream.getvalue().split()] == ["lines_lost"] + 3 * [
        "request"
    ]
