"""A release that is opened reads the journal of events in pieces, and lets requests through between them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from freshet.core import pauses
from freshet.core.types import Entry
from freshet.serving.open_release import OpenRelease


class Journal:
    """Entries by position, which notes what is read at once."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.read_at_once: list[int] = []

    def read(self, after: int, limit: int) -> Sequence[Entry]:
        found = [Entry(n, b"") for n in range(after + 1, min(self.count, after + limit) + 1)]
        self.read_at_once.append(len(found))
        return found


def test_a_long_journal_is_read_with_rests_for_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    journal, rests = Journal(1_700), []
    clock = map((0.01).__mul__, range(100)).__next__
    monkeypatch.setattr(pauses, "time", SimpleNamespace(perf_counter=clock, sleep=rests.append))
    release = SimpleNamespace(_catching_up=threading.Lock(), position=0, overlay=None)
    assert OpenRelease.catch_up(release, journal, 0) == 1_700  # type: ignore[arg-type]
    assert journal.read_at_once == [500, 500, 500, 200]
    assert rests == pytest.approx([0.01] * 3)  # as long as each piece took; none at the end
    assert release.position == 1_700
