"""Logs that can't be written: lines are lost and counted, nothing else happens."""

from __future__ import annotations

import errno
import io
import json
from pathlib import Path

import pytest

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
