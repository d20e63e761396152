"""Looks at a real workspace: what fires is told, what can't be told waits, and nothing is raised."""

from __future__ import annotations

import errno
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from freshet import pipeline
from freshet.alerting import look as looking
from freshet.alerting.look import look, try_receivers
from freshet.cli.schedule_command import upkeep
from freshet.core.errors import AlertError
from freshet.core.types.alerts import Notice
from freshet.inspect import Live
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from tests.exports.receiver import Receiver
from tests.pipeline.world import FIRST, SECOND

NOW = SECOND.moment + timedelta(hours=6)


@dataclass
class Listener:
    """A receiver that keeps what it hears."""

    name: str = "listener"
    every_look: bool = False
    broken: str = ""
    slow: Callable[[], object] = int
    heard: list[tuple[str, bool]] = field(default_factory=list)

    def tell(self, notices: Sequence[Notice]) -> None:
        self.slow()
        if self.broken:
            raise AlertError(self.broken, retryable=True)
        self.heard += [(one.alert.name, one.alert.ended is not None) for one in notices]


@pytest.fixture(scope="module")
def published(counted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("published") / "shop"
    shutil.copytree(counted.root, root)
    pipeline.refresh(open_workspace(root), FIRST, publish=True)
    return root


@pytest.fixture
def ws(published: Path, tmp_path: Path) -> Workspace:
    """Nothing of it is overdue: its runs were made now, and looks at it are of long ago."""
    shutil.copytree(published, tmp_path / "shop")
    with (tmp_path / "shop" / "freshet.toml").open("a") as file:
        file.write('[schedule]\nmissed = "skip"\n')
    return open_workspace(tmp_path / "shop")


def at(ws: Workspace, days: float, *listeners: Listener, live: Live | None = None) -> looking.Looked:
    return look(ws, NOW + timedelta(days=days), listeners, live, measure=False)


def test_old_evidence_fires_once_and_its_end_is_told(ws: Workspace) -> None:
    listener = Listener()
    found = at(ws, 0, listener)
    assert [one.name for one in found.firing] == ["FreshetEvidenceOld"]  # of a week ago, events go on
    assert at(ws, 0.1, listener).firing[0].since == NOW
    assert listener.heard == [("FreshetEvidenceOld", False)]
    pipeline.refresh(ws, SECOND, publish=True)
    assert at(ws, 0.2, listener).firing == ()
    at(ws, 0.3, listener)
    assert listener.heard == [("FreshetEvidenceOld", False), ("FreshetEvidenceOld", True)]


def test_a_receiver_that_fails_holds_up_no_other_and_is_tried_again(ws: Workspace) -> None:
    bad, good = Listener("bad", broken="https://u:secret@host/x?sig=1 is away"), Listener("good")
    found = at(ws, 0, bad, good)
    assert [(one.receiver, bool(one.failed)) for one in found.deliveries] == [("bad", True), ("good", False)]
    assert "secret" not in f"{found} {(ws.root / 'alerts' / 'told.json').read_text()}"
    assert at(ws, 0.0001, bad, good).deliveries == ()  # left alone for a while
    bad.broken = ""
    assert [one.failed for one in at(ws, 1, bad, good).deliveries] == ["", ""]
    assert bad.heard == [("FreshetEvidenceOld", False)]


def test_one_that_never_ends_is_left(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "PATIENCE", 0.2)
    hung = Listener("hung", slow=lambda: time.sleep(5))
    [delivery] = at(ws, 0, hung).deliveries
    assert "within 0.2 seconds" in delivery.failed


def test_looking_alone_tells_nobody_and_writes_nothing(ws: Workspace) -> None:
    listener = Listener()
    found = look(ws, NOW, [listener], measure=False, send=False)
    assert found.firing
    assert listener.heard == []
    assert not (ws.root / "alerts").exists()


def test_a_full_disk_raises_nothing(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(looking, "write_state", full)
    listener = Listener()
    found = at(ws, 0, listener)
    assert [one.failed for one in found.deliveries] == [
        "what was told can't be remembered: No space left on device"
    ]
    assert listener.heard == []


def test_levels_that_cannot_be_told_are_an_alert_and_end_none(ws: Workspace) -> None:
    listener = Listener()
    at(ws, 0, listener)
    (ws.root / "CURRENT").write_text("nonsense")
    found = at(ws, 0.1, listener)
    assert found.levels is None
    assert {one.name for one in found.firing} == {"FreshetUnreadable", "FreshetEvidenceOld"}
    assert listener.heard == [("FreshetEvidenceOld", False), ("FreshetUnreadable", False)]


def test_who_does_not_see_live_state_does_not_end_its_alert(ws: Workspace) -> None:
    listener = Listener()
    at(ws, 0, listener, live=Live(None, "the disk is gone"))
    assert ("FreshetStateUnreadable", False) in listener.heard
    assert "FreshetStateUnreadable" in {one.name for one in at(ws, 0.1, listener).firing}
    at(ws, 0.2, listener, live=Live(NOW + timedelta(days=0.2)))
    assert ("FreshetStateUnreadable", True) in listener.heard


def test_a_failed_run_says_why_in_its_alert(ws: Workspace) -> None:
    class Breaks(Exception):
        pass

    with pytest.raises(Breaks), ws.run("run"):
        raise Breaks("the catalogue has no column title")
    found = at(ws, 0)
    [failed] = [one for one in found.firing if one.name == "FreshetRunFailed"]
    assert "the catalogue has no column title" in failed.summary


def test_a_test_goes_to_everybody_and_is_remembered_nowhere(ws: Workspace) -> None:
    good, bad = Listener("good"), Listener("bad", broken="away")
    told = try_receivers(ws, [good, bad], datetime.fromisoformat("2026-01-01T00:00:00+00:00"))
    assert [(one.receiver, one.failed) for one in told] == [("good", ""), ("bad", "away")]
    assert good.heard == [("FreshetTest", False)]
    assert not (ws.root / "alerts").exists()


def test_the_scheduler_looks_beside_its_runs(ws: Workspace) -> None:
    with Receiver() as receiver:
        with (ws.root / "freshet.toml").open("a") as file:
            file.write(f'[alerts]\nwebhook = "{receiver.url}"\nwebhook_secret_env = ""\n')
        upkeep()["alerts"](open_workspace(ws.root), NOW)
    assert b"FreshetEvidenceOld" in receiver.taken[0][2]


def test_a_dead_scheduler_is_an_alert(published: Path) -> None:
    ws = open_workspace(published)
    later = datetime.now(NOW.tzinfo) + timedelta(days=3)
    found = look(ws, later, [], measure=False)
    assert "FreshetScheduleStopped" in {one.name for one in found.firing}


def test_state_of_another_version_is_begun_anew(ws: Workspace) -> None:
    listener = Listener()
    at(ws, 0, listener)
    path = ws.root / "alerts" / "told.json"
    path.write_text(json.dumps({"schema": 99}))
    at(ws, 0.1, listener)
    assert len(listener.heard) == 2  # told once more rather than not at all
    assert replace(listener, heard=[]).heard == []
