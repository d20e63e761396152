"""A forgetting waits for replays, and what killed calls have noted goes with the one that ends."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from freshet import operations
from freshet.core.errors import Busy
from freshet.privacy import leftovers
from freshet.privacy.forgetting import forget
from freshet.stages.events import EventLog
from freshet.storage.durable import make_folder
from freshet.storage.lease import lease
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace

NOW = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    (tmp_path / "freshet.toml").write_text('[events]\nfiles = ["events.csv"]\n[planner]\nkind = "counts"\n')
    rows = "".join(f"user-{n % 5},i{n % 3},2024-05-0{1 + n % 3}T10:00:0{n % 9}Z\n" for n in range(40))
    (tmp_path / "events.csv").write_text(f"user,item,time\n{rows}")
    ws = open_workspace(tmp_path)
    operations.import_log(ws, NOW)
    return ws


def test_a_replay_that_goes_on_is_waited_for(shop: Workspace) -> None:
    """It copies days of the log into its room, and would bring the person back."""
    room = shop.root / "replay" / "rooms" / "2024-05-01"
    make_folder(room)
    rows = EventLog(shop.root).snapshot().rows
    with (
        lease(room / "LEASE", "replay"),
        pytest.raises(Busy, match=r"the replay in .*rooms/2024-05-01 goes on: .*replay"),
    ):
        forget(shop, ["user-1"], None, NOW)
    assert EventLog(shop.root).snapshot().rows == rows
    assert forget(shop, ["user-1"], None, NOW).clean
    assert not (room / "LEASE").exists()


def test_a_replay_does_not_begin_meanwhile(shop: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    room = shop.root / "replay" / "rooms" / "2024-05-01"
    make_folder(room)
    clean = leftovers.clean_texts

    def tried(*given: object) -> int:
        with pytest.raises(Busy, match="forget"), lease(room / "LEASE", "replay"):
            pass
        return clean(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(leftovers, "clean_texts", tried)
    assert forget(shop, ["user-1"], None, NOW).clean


def test_notes_of_killed_calls_go_with_the_call_that_ends(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    begun = shop.root / "privacy" / "begun"
    with monkeypatch.context() as patched:
        patched.setattr(leftovers, "clean_texts", killed)
        for person in ("user-1", "user-3"):
            with pytest.raises(KeyboardInterrupt):
                forget(shop, [person], None, NOW)
    before = set(begun.glob("*.json"))
    assert len(before) == 2
    assert forget(shop, ["user-1", "user-2"], None, NOW).clean
    [other] = begun.glob("*.json")
    assert other in before
    assert forget(shop, ["user-3"], None, NOW).clean
    assert list(begun.glob("*.json")) == []
