"""What serving was told is in the log once, and what it showed in the files once, whenever a run is killed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from freshet import operations, pipeline
from freshet.core.errors import StateError
from freshet.core.ports import UserStore
from freshet.core.types import AsOf, user_key
from freshet.experiments.measurement import collect as collecting
from freshet.serving import Event, Query
from freshet.stages.events import EventLog
from freshet.stages.events.snapshots import listed
from freshet.storage.workspace import Workspace
from freshet.wiring import existing_user_store, open_recommender, open_user_store, open_workspace
from tests.pipeline.world import FIRST, NOW, copied, settings

AT = int(datetime(2024, 2, 25, 12, tzinfo=UTC).timestamp()) * 1_000_000
"""Microseconds since 1970, on the last day but one of the world."""


@pytest.fixture(scope="module")
def published(counted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = copied(counted, tmp_path_factory.mktemp("published") / "ws")
    pipeline.refresh(ws, FIRST, publish=True)
    return ws


@pytest.fixture
def ws(published: Workspace, tmp_path: Path) -> Workspace:
    return copied(published, tmp_path / "ws")


@pytest.fixture
def state(ws: Workspace):
    opened = open_user_store(ws.root, ws.config)
    yield opened
    opened.close()


def items(ws: Workspace) -> list[str]:
    path = next((ws.root / "items").glob("*/items.parquet"))
    return [item for (item,) in duckdb.sql(f"SELECT item FROM '{path}' ORDER BY item").fetchall()]


def record_events(ws: Workspace, count: int, start: int = 0) -> None:
    """Events of a few users, and what is shown to them."""
    known = items(ws)
    core = open_recommender(ws.root)
    recorded = [
        Event(
            f"live{n % 7}", known[n % len(known)], AT + n * 1000, 9.0, f"e{n}" if n % 2 else "", f"shown{n}"
        )
        for n in range(start, start + count)
    ]
    assert {receipt.status for receipt in core.record(recorded)} == {"recorded"}
    for n in range(3):
        core.recommend(Query(f"live{n}", None, 2, 0))
    core.close()


def rows(ws: Workspace, query: str, source: str = "events") -> list[tuple]:
    if source == "events":
        scan = EventLog(ws.root).snapshot().scan
    else:
        scan = f"read_parquet('{ws.root}/impressions/*/*.parquet')"
    return duckdb.sql(query.format(scan)).fetchall()


def test_told_events_are_in_the_log_once(ws: Workspace, state: UserStore) -> None:
    before = EventLog(ws.root).snapshot().rows
    record_events(ws, 40)
    record, found = operations.collect(ws, state, NOW)
    assert record.outcome == "done"
    assert (found.events, found.added, found.duplicates, found.quarantined) == (40, 40, 0, 0)
    assert EventLog(ws.root).snapshot().rows == before + 40
    recorded = rows(
        ws,
        'SELECT "user", value, epoch_us(time), id, impression FROM {} WHERE "user" = \'live1\' ORDER BY time',
    )
    assert recorded[:2] == [
        ("live1", 9.0, AT + 1000, "e1", "shown1"),
        ("live1", 9.0, AT + 8000, None, "shown8"),
    ]
    again = operations.collect(ws, state, NOW)[1]
    assert (again.events, again.added, again.impressions) == (0, 0, 0)


def test_a_run_killed_before_its_note_harms_nothing(
    ws: Workspace, state: UserStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_events(ws, 30)

    real, kill_at = collecting._note, ""

    def note(state: UserStore, name: str, position: int) -> None:
        if name == kill_at:
            raise KeyboardInterrupt
        real(state, name, position)

    before = EventLog(ws.root).snapshot().rows
    monkeypatch.setattr(collecting, "_note", note)
    for at in ("events", "impressions"):
        kill_at = at
        with pytest.raises(KeyboardInterrupt):
            operations.collect(ws, state, NOW)
    kill_at = ""
    record_events(ws, 10, start=30)
    operations.collect(ws, state, NOW)
    assert EventLog(ws.root).snapshot().rows == before + 40
    assert rows(ws, "SELECT count(*), count(DISTINCT (id, place)) FROM {}", "impressions") == [(12, 12)]


def test_impressions_tell_what_was_shown(ws: Workspace, state: UserStore) -> None:
    record_events(ws, 20)
    found = operations.collect(ws, state, NOW)[1]
    assert found.impressions == 3
    shown = rows(ws, 'SELECT * EXCLUDE ("date") FROM {} ORDER BY "user", place', "impressions")
    assert len(shown) == 6
    names = [row[0] for row in rows(ws, "DESCRIBE SELECT * FROM {}", "impressions")]
    one = dict(zip(names, shown[0], strict=False))
    assert (one["user"], one["place"], one["release"]) == ("live0", 0, 1)
    assert one["interest"] not in one["context"]
    assert 0 < one["propensity"] <= 1
    assert one["reason"]
    assert state.impressions.read(0, 10) == [], "the journal keeps what is in files"


def test_two_states_do_not_overwrite_each_others_impressions(ws: Workspace) -> None:
    for _ in range(2):
        record_events(ws, 10)
        state = open_user_store(ws.root, ws.config)
        operations.collect(ws, state, NOW)
        state.close()
        for path in (ws.root / "state").iterdir():
            path.unlink()
    assert rows(ws, "SELECT count(DISTINCT id) FROM {}", "impressions") == [(6,)]


def test_only_what_this_release_and_the_one_before_count_is_forgotten(
    ws: Workspace, state: UserStore
) -> None:
    record_events(ws, 20)
    assert operations.collect(ws, state, NOW)[1].forgotten == 0, "the release is older than these events"
    pipeline.refresh(ws, AsOf.parse("2024-02-26"), publish=True)
    assert operations.collect(ws, state, NOW)[1].forgotten == 0, "a rollback needs them"
    record_events(ws, 5, start=2 * 86_400_000)  # the day after
    current = ws.releases.get(2)
    ws.releases.publish(current.as_of, current.table, "", current.interests, "again")
    found = operations.collect(ws, state, NOW)[1]
    assert (found.events, found.forgotten) == (5, 20)
    assert len(state.events.read(0, 100)) == 5


def test_a_run_collects_first_and_leaves_the_day_that_is_not_over(ws: Workspace, state: UserStore) -> None:
    record_events(ws, 20)
    now = datetime(2024, 2, 25, 18, tzinfo=UTC)
    record = pipeline.run(ws, now, users=state)
    assert record.as_of == "2024-02-25"
    assert ws.releases.current().as_of == "2024-02-25"
    assert len(state.events.read(0, 100)) == 20, "live signals of today are made from these"
    record = pipeline.run(ws, now + timedelta(days=14), users=state)
    assert record.as_of > "2024-02-25"
    joined = next(step for step in record.steps if step.name == "histories").details
    assert joined["joined"] >= 0
    [history] = state.histories([user_key("live1")])
    assert len(history.items) > 0


def test_columns_of_the_rule_reach_the_log(world: Path, published: Workspace, tmp_path: Path) -> None:
    ws = copied(published, tmp_path / "ws")
    core = open_recommender(ws.root)
    text = settings(world).replace('positive = "value >= 7"', "positive = \"value >= 7 and device = 'tv'\"")
    (ws.root / "freshet.toml").write_text(text)
    core.reload()
    core.record([Event("u", items(ws)[0], AT, 9.0, columns={"device": "tv", "other": "x"})])
    core.record([Event("u", items(ws)[1], AT, 9.0)])
    core.close()
    ws = open_workspace(ws.root)
    state = open_user_store(ws.root, ws.config)
    operations.collect(ws, state, NOW)
    assert rows(ws, "SELECT device FROM {} WHERE \"user\" = 'u' ORDER BY item") == [("tv",), (None,)]
    state.close()


def test_a_workspace_that_was_never_served_has_no_state(ws: Workspace, tmp_path: Path) -> None:
    assert existing_user_store(ws.root, ws.config) is None
    record_events(ws, 1)
    state = existing_user_store(ws.root, ws.config)
    assert state is not None
    state.close()


def test_a_state_that_fails_fails_the_run(
    ws: Workspace, state: UserStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_events(ws, 5)
    state.close()
    with pytest.raises(StateError):
        pipeline.run(ws, NOW, users=state)
    assert ws.ledger.records()[-1].outcome == "failed"


def test_a_collection_ends_while_events_and_impressions_keep_coming(
    ws: Workspace, state: UserStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However fast they come: what is there at the start is taken, in few snapshots; the rest is next."""
    record_events(ws, 40)
    real, rounds = collecting._note, 0

    def note(state: UserStore, name: str, position: int) -> None:
        nonlocal rounds
        rounds += 1
        assert rounds < 20, "it goes on as long as something comes"
        real(state, name, position)
        record_events(ws, 3, start=40 + 3 * rounds)

    monkeypatch.setattr(collecting, "_note", note)
    before = len(listed(ws.root))
    found = operations.collect(ws, state, NOW)[1]
    assert found.events == 40
    assert found.impressions == 6  # 3, and 3 that came while events were collected
    assert len(listed(ws.root)) == before + 1
    monkeypatch.setattr(collecting, "_note", real)
    assert operations.collect(ws, state, NOW)[1].events == 3 * rounds


def test_batches_end_where_the_journal_did_at_the_start(
    ws: Workspace, state: UserStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "BATCH", 16)
    record_events(ws, 40)
    state.events.trim(5)
    assert operations.collect(ws, state, NOW)[1].events == 35
    assert operations.collect(ws, state, NOW)[1].events == 0
