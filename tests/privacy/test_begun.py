"""A forgetting waits for replays, and what killed calls have noted goes with the one that ends."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from freshet import operations
from freshet.backends.local_store import LocalStore
from freshet.cli.replay_runs import rolled
from freshet.core.errors import Busy
from freshet.core.types import AsOf, user_number
from freshet.privacy import leftovers
from freshet.privacy.forgetting import forget, look
from freshet.replay import Able, make_plan
from freshet.stages.events import EventLog
from freshet.stages.live import Overlay, Settings
from freshet.stages.live import format as overlays
from freshet.stages.screen import format as screens
from freshet.stages.screen.held_back import MOVE, Burst, HeldBack
from freshet.storage import checksums, rooms
from freshet.storage.artifacts import committed
from freshet.storage.durable import make_folder
from freshet.storage.lease import is_held, lease
from freshet.storage.ledger import Quiet
from freshet.storage.workspace import Workspace
from freshet.wiring import open_sandbox, open_workspace

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


def test_a_room_that_was_not_there_is_shut_as_well(shop: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay that begins meanwhile would read the log of before, and keep what it holds of the person."""
    clean, tried_in = leftovers.clean_remains, []

    def tried(*given: object) -> int:
        room = open_sandbox(shop, AsOf.parse(f"2024-05-0{2 + len(tried_in)}"))
        tried_in.append(room)
        with pytest.raises(Busy, match=r"forget.* none can go on meanwhile"), room.run("replay"):
            pass
        assert not (room.root / "LEASE").exists()
        return clean(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(leftovers, "clean_remains", tried)
    assert forget(shop, ["user-1"], None, NOW).clean
    assert tried_in
    with tried_in[0].run("replay"):
        pass


def test_a_replay_that_may_wait_waits(shop: Workspace) -> None:
    told: list[str] = []
    door = ExitStack()
    door.enter_context(rooms.all_held(shop.root, "forget", 0.0, told.append))

    class Watching(Quiet):
        def say(self, text: str) -> None:
            told.append(text)
            door.close()  # as if the forgetting ended now

    room = replace(open_sandbox(shop, AsOf.parse("2024-05-02")), wait=600.0, reporter=Watching())
    with room.run("replay"):
        assert [text for text in told if text.startswith("waiting for ")]


def test_what_a_replay_collects_is_written_under_its_lease(
    shop: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a forgetting could come between reading what origins hold and writing it again."""
    plan = make_plan(
        [date(2024, 5, day) for day in range(1, 29)], able=Able(False, False, False, False, False, False, False),
        refresh_days=1, tune_every=30, arms=("popularity",), every=7,
    )  # fmt: skip
    held = []

    def results(_: object) -> SimpleNamespace:
        held.append(is_held(shop.root / "replay" / "rooms" / str(plan.start) / "LEASE"))
        return SimpleNamespace(write=lambda _: held.append(is_held(room)), judged=[])

    room = shop.root / "replay" / "rooms" / str(plan.start) / "LEASE"
    monkeypatch.setattr("freshet.replay.roll", lambda *_: [])
    monkeypatch.setattr("freshet.replay.frames.Results.of", results)
    with pytest.raises(IndexError):  # no origin was replayed, so there is nothing to say of the last
        rolled(shop, plan, tmp_path / "frames")
    assert held == [True, True]


@pytest.mark.parametrize("kind", ["screens", "overlays"])
def test_moves_that_are_held_back_and_established_users_lose_one(shop: Workspace, kind: str) -> None:
    """In the workspace and in a room; everything else of the artifact stays."""
    mine, other = sorted((user_number("user-1"), user_number("user-2")))
    moves = np.array([(user, 1, -1, 2) for user in (mine, mine, other)], MOVE)
    held = HeldBack(moves, (Burst(19_000, 2, 5, 3, 1, 1),), 9)
    settings = Settings((1.0, 7.0), 0.5, 3, 4.0, 10.0, new_user=0.5)
    overlay = replace(Overlay.empty(settings, 3, 0), established=np.array([mine, other], np.uint64))
    stores = [LocalStore(root) for root in (shop.root, open_sandbox(shop, AsOf.parse("2024-05-02")).root)]
    for store in stores:
        with store.create(kind, "0123456789abcdef") as draft:
            if kind == "screens":
                screens.write(held, draft.path)
            else:
                overlays.write(overlay, draft.path)
            draft.manifest = {"as_of": "2024-05-02"}
    person = "user-1" if mine == user_number("user-1") else "user-2"

    before = look(shop, [person]).searched.traces
    done = forget(shop, [person], None, NOW)

    assert done.clean
    assert any(trace.path.startswith(f"{kind}/") for trace in before)
    assert done.removed["held_back" if kind == "screens" else "established"] == (
        4 if kind == "screens" else 2
    )
    for store in stores:
        found = committed(store, kind, "0123456789abcdef")
        checksums.verify(found.path, found.manifest["files"])
        if kind == "screens":
            left = screens.read(found.path)
            assert (left.moves.tolist(), left.bursts, left.judged) == (moves[2:].tolist(), held.bursts, 9)
        else:
            now = overlays.read(found.path)
            assert now is not None
            assert now.established.tolist() == [other]
            assert now.settings == settings


def test_records_and_logs_of_rooms_lose_the_name(shop: Workspace) -> None:
    room = open_sandbox(shop, AsOf.parse("2024-05-02"))
    with room.run("replay") as run:
        run.say("note: user 'user-1' has 269 of 4,038 events")
        run.record.settings["told"] = "user-1"
    assert look(shop, ["user-1"]).searched.traces
    assert forget(shop, ["user-1"], None, NOW).clean
    assert "(forgotten)" in (room.root / "logs" / f"{run.record.id}.jsonl").read_text()


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
