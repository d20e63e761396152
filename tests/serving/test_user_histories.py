"""What serving remembers of users is what the log says of them."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from freshet import operations, pipeline
from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from freshet.core.errors import NotServing
from freshet.core.ports import UserStore
from freshet.core.types import REMEMBERED, item_key, user_key
from freshet.serving import user_histories as remembering
from freshet.serving.user_histories import NOTE, remember
from freshet.stages.events import EventLog
from freshet.storage.workspace import Workspace
from freshet.wiring import open_user_store
from tests.pipeline.world import FIRST, NOW, SECOND, copied, rewrite, settings, workspace


def said(ws: Workspace) -> dict[str, tuple[dict[int, int], dict[int, int]]]:
    """User -> item key -> time, interest id -> time; by plain loops over the log."""
    release = ws.releases.current()
    table = ws.store.find("tables", release.table)
    counted = ws.store.find("transitions", table.manifest["inputs"]["transitions"])
    assigned = ws.store.find("assignments", counted.manifest["inputs"]["assignment"]).path
    ids = dict(
        duckdb.sql(
            f"SELECT index, id FROM '{ws.root}/interests/{release.interests}/interests.parquet'"
        ).fetchall()
    )
    interest = dict(duckdb.sql(f"SELECT item, interest FROM '{assigned}/assignment.parquet'").fetchall())
    snapshot = EventLog(ws.root).snapshot()
    rows = duckdb.sql(
        f'SELECT "user", item, epoch_us("time") FROM {snapshot.scan} WHERE value >= 7'
    ).fetchall()
    found: dict[str, tuple[dict[int, int], dict[int, int]]] = {}
    for user, item, time in sorted(rows, key=lambda row: row[2]):
        items, interests = found.setdefault(user, ({}, {}))
        items[item_key(item)] = time
        if item in interest:
            interests[ids[interest[item]]] = time
    end = (snapshot.days[-1].day.toordinal() - 719163 - 30) * 86_400_000_000
    return {
        user: (
            {key: time for time, key in sorted((t, k) for k, t in items.items())[-REMEMBERED:]},
            {i: t for i, t in interests.items() if t >= end},
        )
        for user, (items, interests) in found.items()
    }


def remembered(state: UserStore, users: list[str]) -> dict[str, tuple[dict[int, int], dict[int, int]]]:
    return {
        user: (
            dict(zip(one.items.tolist(), one.item_times.tolist(), strict=True)),
            dict(zip(one.interests.tolist(), one.interest_times.tolist(), strict=True)),
        )
        for user, one in zip(users, state.histories([user_key(user) for user in users]), strict=True)
    }


@pytest.fixture(scope="module")
def published(counted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a release."""
    ws = copied(counted, tmp_path_factory.mktemp("published") / "ws")
    pipeline.refresh(ws, FIRST, publish=True)
    return ws


@pytest.fixture
def state(tmp_path: Path):
    opened = LmdbUserStore(tmp_path / "state", 1)
    yield opened
    opened.close()


@pytest.mark.parametrize("rows", [400, 10**9])
def test_histories_are_what_the_log_says(
    published: Workspace, state: UserStore, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembering, "ROWS", rows)
    expected = said(published)
    assert remember(published, state) >= len(expected) > 100
    assert remembered(state, list(expected)) == expected
    assert remember(published, state) == 0


def test_only_days_that_changed_are_read_again(
    world: Path, published: Workspace, tmp_path: Path, state: UserStore
) -> None:
    def one_more(events: pa.Table) -> pa.Table:
        last = events.filter(pc.equal(events["timestamp"], pc.max(events["timestamp"]))).slice(0, 1)
        return last.set_column(0, "user_id", pa.array(["somebody new"]))

    ws = copied(published, tmp_path / "ws")
    remember(ws, state)
    operations.import_log(ws, NOW, [rewrite(world, tmp_path / "more", one_more) / "events.parquet"])
    day = EventLog(ws.root).snapshot().days[-1]
    users = duckdb.sql(f"SELECT count(DISTINCT \"user\") FROM '{day.path}' WHERE value >= 7").fetchall()[0][0]
    assert remember(ws, state) == users
    assert remembered(state, ["somebody new"]) == {"somebody new": said(ws).get("somebody new", ({}, {}))}


def test_items_with_another_interest_are_read_again(published: Workspace, tmp_path: Path) -> None:
    ws = copied(published, tmp_path / "ws")
    state = open_user_store(ws.root, ws.config)
    remember(ws, state)
    pipeline.refresh(ws, SECOND, publish=True)
    note = json.loads(state.notes.get(NOTE))
    remember(ws, state)
    after = json.loads(state.notes.get(NOTE))
    assert after["days"] == note["days"]
    assert (after["assignment"] == note["assignment"]) == (
        remembering._reading(ws).assignment.version == note["assignment"]
    )
    expected = said(ws)
    assert remembered(state, list(expected)) == expected
    state.close()


def test_a_killed_call_is_continued(
    published: Workspace, state: UserStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembering, "ROWS", 400)
    calls = []

    def merge(histories) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        LmdbUserStore.merge(state, histories)

    monkeypatch.setattr(state, "merge", merge)
    with pytest.raises(KeyboardInterrupt):
        remember(published, state)
    done = json.loads(state.notes.get(NOTE))["days"]
    assert 0 < len(done) < len(EventLog(published.root).snapshot().days)
    remember(published, state)
    expected = said(published)
    assert remembered(state, list(expected)) == expected


def test_without_a_release_there_is_nothing_to_remember(
    world: Path, tmp_path: Path, state: UserStore
) -> None:
    ws = workspace(tmp_path / "ws", settings(world))
    with pytest.raises(NotServing, match="nothing has been published"):
        remember(ws, state)
    operations.import_log(ws, NOW)
    pipeline.refresh(ws, FIRST, publish=True)
    assert remember(ws, state) > 0
