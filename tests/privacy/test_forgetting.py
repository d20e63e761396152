"""A person who is forgotten is nowhere; everybody else is where they would be had that person never come."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet import operations
from freshet.backends.local_store import LocalStore
from freshet.core.types import user_key, user_number
from freshet.doctor import check
from freshet.pipeline import refresh
from freshet.privacy.forgetting import Forgotten, forget, look
from freshet.serving import Event, Query
from freshet.stages import transitions
from freshet.stages.events import EventLog
from freshet.stages.transitions.format import load_counted
from freshet.storage.durable import make_folder
from freshet.storage.workspace import Workspace
from freshet.wiring import existing_user_store, open_recommender, open_workspace
from tests.pipeline.world import approving
from tests.privacy.shops import MOMENT, NOW, all_bytes, litter, make_shop, serve

MARKED = "Ünïcode-marked 4711"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which everything was used; copy it before changing it."""
    ws = make_shop(tmp_path_factory.mktemp("used") / "shop", MARKED)
    serve(ws, MARKED)
    litter(ws, MARKED)
    return ws.root


@pytest.fixture
def shop(used: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(used, tmp_path / "shop")
    return open_workspace(tmp_path / "shop")


def forgotten(ws: Workspace, *people: str, block: bool = False) -> Forgotten:
    users = existing_user_store(ws.root, ws.config)
    try:
        return forget(ws, people or [MARKED], users, NOW + timedelta(seconds=2), block=block)
    finally:
        if users is not None:
            users.close()


def test_nothing_is_left(shop: Workspace) -> None:
    before = look(shop, [MARKED])
    places = {trace.path.split("/")[0] for trace in before.searched.traces}
    assert {
        "events",
        "quarantine",
        "impressions",
        "state",
        "days",
        "user_rows",
        "runs",
        "logs",
        ".drafts",
    } <= places

    done = forgotten(shop)

    assert done.clean, done.searched.traces
    assert done.receipt is not None
    assert all(done.removed[kind] > 0 for kind in (
        "events", "quarantine", "impressions", "transitions", "user_rows", "histories", "live_events",
        "live_impressions", "texts", "remains",
    )), done.removed  # fmt: skip
    for name, content in all_bytes(shop.root).items():
        for needle in (MARKED.encode(), user_key(MARKED), user_number(MARKED).to_bytes(8, "little")):
            assert needle not in content, name
    (shop.root / "events.parquet").unlink()  # sources are their owner's
    for path in shop.root.rglob("*.parquet"):
        table = pq.read_table(path)
        for column in table.columns:
            values = column.to_pylist()
            assert MARKED not in map(str, values), path
            assert user_number(MARKED) not in values, path
    assert MARKED.encode() not in done.receipt.read_bytes()
    assert check(open_workspace(shop.root)).healthy


def test_counts_are_those_without_the_person(shop: Workspace, tmp_path: Path) -> None:
    without = make_shop(tmp_path / "without", MARKED, without=True)
    (shop.root / "state").rename(tmp_path / "state")  # what was served went into the log of one alone
    forgotten(shop)
    log, expected = EventLog(shop.root).snapshot(MOMENT), EventLog(without.root).snapshot(MOMENT)
    assert log.version == expected.version
    assert [day.path.name for day in log.days] == [day.path.name for day in expected.days]
    assert [day.path.read_bytes() for day in log.days] == [day.path.read_bytes() for day in expected.days]
    refreshed = open_workspace(shop.root)
    found = {
        version: load_counted(shop.root / "transitions" / version)
        for version in refreshed.store.versions("transitions")
    }
    assert found
    for version in found:
        for name in transitions.referenced(shop.root / "transitions" / version):
            assert transitions.intact(refreshed.pool / name)


def test_the_next_refresh_needs_no_recount(shop: Workspace) -> None:
    forgotten(shop)
    ws = open_workspace(shop.root)
    record = approving(lambda: refresh(ws, MOMENT, publish=True), ws)
    [counted] = [step for step in record.steps if step.name == "transitions"]
    assert counted.details["recounted_users"] == 0
    assert check(open_workspace(shop.root)).healthy


def test_old_files_bring_nobody_back(shop: Workspace) -> None:
    forgotten(shop)
    ws = open_workspace(shop.root)
    rows = EventLog(ws.root).snapshot().rows
    _, imported = operations.import_log(ws, NOW)
    assert EventLog(ws.root).snapshot().rows == rows
    assert sum(report.quarantined.get("user was forgotten", 0) for report in imported.events) > 10
    for report in imported.events:
        assert report.rows_read == report.added + report.duplicates + sum(report.quarantined.values())
    (ws.root / "events.parquet").unlink()
    (ws.root / "more.csv").unlink()
    assert look(ws, [MARKED]).searched.traces == ()


def test_others_stay(shop: Workspace) -> None:
    before = EventLog(shop.root).snapshot().rows
    done = forgotten(shop)
    assert EventLog(shop.root).snapshot().rows == before - done.removed["events"]
    clock = int(NOW.timestamp() * 1e6)
    recommender = open_recommender(shop.root, clock=lambda: clock)
    answer = recommender.recommend(Query(user="another"))
    assert answer.interests
    assert not answer.degraded
    old = recommender.record([Event(MARKED, "i1", clock - 60_000_000, 9.0)])[0]
    assert (old.status, old.why) == ("refused", "user was forgotten")
    assert recommender.record([Event(MARKED, "i1", clock + 3_000_000, 9.0)])[0].status == "recorded"
    recommender.close()


def test_who_is_blocked_does_not_come_back(shop: Workspace) -> None:
    forgotten(shop, block=True)
    clock = int(NOW.timestamp() * 1e6)
    recommender = open_recommender(shop.root, clock=lambda: clock)
    assert recommender.record([Event(MARKED, "i1", clock + 3_000_000, 9.0)])[0].status == "refused"
    recommender.recommend(Query(user=MARKED))
    recommender.flush()
    recommender.close()
    (shop.root / "events.parquet").unlink()
    (shop.root / "more.csv").unlink()
    assert look(open_workspace(shop.root), [MARKED]).searched.traces == ()


def test_a_running_server_lets_go(shop: Workspace) -> None:
    clock = int(NOW.timestamp() * 1e6)
    recommender = open_recommender(shop.root, clock=lambda: clock)
    recommender.recommend(Query(user=MARKED))  # its impression is in memory yet
    before = recommender._releases.current
    (shop.root / "events.parquet").unlink()
    (shop.root / "more.csv").unlink()
    assert forgotten(shop).clean
    recommender.flush()
    assert recommender.reload()
    assert recommender._releases.current is not before
    assert not recommender.reload()
    assert recommender.recommend(Query(user=MARKED)).interests
    assert recommender.record([Event("another", "i5", clock, 9.0)])[0].status == "recorded"
    assert look(open_workspace(shop.root), [MARKED]).searched.traces == ()
    recommender.close()


def test_tables_that_name_users_by_number_are_cleaned(shop: Workspace) -> None:
    """Alone, and as a part of an artifact, whose checksums hold again."""
    rows = pa.table({"user": pa.array([user_number(MARKED), 7], pa.uint64()), "n": [1, 2]})
    judged = shop.root / "replay" / "judged.parquet"
    make_folder(judged.parent)
    pq.write_table(rows, judged)
    rows = rows.replace_schema_metadata({b"judged": b"2"})
    store = LocalStore(shop.root / "replay")
    with store.create("results", "0123456789abcdef") as draft:
        pq.write_table(rows, draft.path / "moves.parquet")
    assert forgotten(shop).removed["result_rows"] == 2
    assert pq.read_table(judged)["user"].to_pylist() == [7]
    artifact = store.find("results", "0123456789abcdef")
    assert artifact is not None
    left = pq.read_table(artifact.path / "moves.parquet")
    assert left["user"].to_pylist() == [7]
    assert (left.schema.metadata or {})[b"judged"] == b"2"
