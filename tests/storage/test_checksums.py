"""A remembered checksum is that of the bytes that are there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from freshet.storage import checksums
from freshet.storage.checksums import remembered


class Reads:
    """What a file holds, and how often it was read."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, path: Path) -> str:
        self.count += 1
        return path.read_text()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute after all files were written."""
    now = checksums.time.time_ns() + 60_000_000_000
    monkeypatch.setattr(checksums.time, "time_ns", lambda: now)


def test_a_file_that_stays_as_it_is_is_read_once(tmp_path: Path, later: None) -> None:
    path, reads = tmp_path / "file", Reads()
    path.write_text("one")
    assert [remembered(path, reads) for _ in range(3)] == ["one"] * 3
    assert reads.count == 1


@pytest.mark.parametrize("way", ["in place", "replaced", "linked"])
def test_other_bytes_of_the_same_size_and_time_are_seen(tmp_path: Path, later: None, way: str) -> None:
    path, aside, reads = tmp_path / "file", tmp_path / "aside", Reads()
    path.write_text("one")
    times = path.stat()
    assert remembered(path, reads) == "one"
    if way == "in place":
        path.write_text("two")
    else:
        aside.write_text("two")
        if way == "replaced":
            aside.replace(path)
        else:
            path.unlink()
            path.symlink_to(aside)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert remembered(path, reads) == "two"


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path: Path) -> None:
    """Within one tick of the file system's clock it may change again without a trace."""
    path, reads = tmp_path / "file", Reads()
    path.write_text("one")
    assert [remembered(path, reads) for _ in range(2)] == ["one"] * 2
    assert reads.count == 2


def test_what_was_written_here_is_not_read_again_until_it_changes(tmp_path: Path) -> None:
    path, reads = tmp_path / "file", Reads()
    path.write_text("one")
    checksums.wrote(path, reads, "one")
    assert remembered(path, reads) == "one"
    assert reads.count == 0
    path.write_text("other")
    assert remembered(path, reads) == "other"
