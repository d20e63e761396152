"""Pages are made before somebody asks: after the start, and after every publication."""

from __future__ import annotations

import threading
import time

import pytest

from freshet import operations
from freshet.core.errors import ArtifactError
from freshet.dashboard.warming import keep_warm, warm
from freshet.dashboard.workspace_view import WorkspaceView
from freshet.inspect.item_lookup import ItemLookup
from freshet.storage.ledger import Ledger
from freshet.storage.workspace import Workspace
from tests.dashboard.visitor import Visitor

PATIENCE = 120.0


def test_a_warm_page_opens_no_release_and_reads_no_ledger(
    copy: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = Visitor(copy.root)
    warm(visitor.view)
    read: list[str] = []
    get = Ledger.get

    def counted(ledger: Ledger, run: str) -> object:
        read.append(run)
        return get(ledger, run)

    def opened(*_: object) -> None:
        raise AssertionError("it opens the release")

    monkeypatch.setattr(Ledger, "get", counted)
    monkeypatch.setattr(ItemLookup, "of", opened)
    monkeypatch.setattr("freshet.dashboard.explorer.open_recommender", opened)
    monkeypatch.setattr("freshet.inspect.open_release", opened)
    for path in ("", "playground", "interests"):
        visitor.get(path)
    assert len(read) <= 6  # the runs that are listed


def test_what_is_published_later_is_made_too(copy: Workspace) -> None:
    view, stop = WorkspaceView(copy.root), threading.Event()
    thread = threading.Thread(target=keep_warm, args=(view, stop))
    thread.start()
    try:
        for expected in (2, 1):
            if expected == 1:
                operations.roll_back(copy)
            until = time.monotonic() + PATIENCE
            while view.explorer.opened != expected:
                assert time.monotonic() < until
                time.sleep(0.02)
    finally:
        stop.set()
        thread.join()


def test_what_cannot_be_made_stops_nothing(copy: Workspace) -> None:
    record = copy.ledger.paths()[0]
    record.write_text("{")
    view = WorkspaceView(copy.root)
    warm(view)
    assert view.explorer.opened == 2
    with pytest.raises(ArtifactError):
        copy.ledger.get(record.stem)
