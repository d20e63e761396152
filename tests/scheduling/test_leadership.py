"""One scheduler of a workspace in a bucket acts; one that died elsewhere is taken over from."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from freshet.core.errors import Busy
from freshet.scheduling.leadership import OBJECT, leader, leading
from freshet.storage.lease_owner import Owner
from freshet.storage.remote import bucket_lease as leases
from freshet.storage.workspace import Workspace
from tests.scheduling.shops import Shop
from tests.storage.remote.memory_store import MemoryStore, Objects
from tests.storage.remote.test_bucket_workspace import machine


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Of a bucket in memory."""
    monkeypatch.setenv(leases.VARIABLE, "1")
    monkeypatch.setattr(leases, "POLL", 0.02)
    made = machine(tmp_path / "here", MemoryStore(Objects()))
    (made.root / "freshet.toml").write_text("")
    assert made.bucket is not None
    made.bucket.create()
    return made


def test_one_of_a_bucket_leads(ws: Workspace) -> None:
    with leading(ws) as leads:
        assert leads()
        found = leader(ws)
        assert found is not None
        assert found.command == "schedule"
        with pytest.raises(Busy), leading(ws):
            pass
        with ws.run("collect"):  # runs have a lease of their own
            assert leads()
    assert leader(ws) is None


def test_one_that_died_on_another_machine_is_taken_over_from(ws: Workspace) -> None:
    assert ws.bucket is not None
    gone = Owner(token="gone", place="elsewhere", command="schedule", seconds=1.0)
    ws.bucket.store.put_new(OBJECT, leases._encoded(gone, 3, held=True))
    assert leader(ws) is not None  # nobody can tell at once
    with leading(ws) as leads:
        found = leader(ws)
        assert found is not None
        assert found.token != "gone"
        stored = ws.bucket.store.get(OBJECT)
        assert stored is not None
        other = Owner(token="other", place="elsewhere", command="schedule")
        ws.bucket.store.replace(OBJECT, leases._encoded(other, 0, held=True), stored.tag)
        for _ in range(200):  # it finds out at the next beat
            if not leads():
                break
            time.sleep(0.05)
        assert not leads()


def test_one_of_a_folder_finds_out_that_it_was_taken_over_from(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    with leading(shop.open()) as leads:
        assert leads()
        (tmp_path / "SCHEDULER").unlink()
        assert not leads()
