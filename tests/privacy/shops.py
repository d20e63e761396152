"""Workspaces in which everything was used, so that people lie wherever people can lie."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from freshet import operations
from freshet.core.types import AsOf
from freshet.pipeline import refresh
from freshet.serving import Event, Query
from freshet.simulator import World, generate
from freshet.storage.durable import make_folder, written
from freshet.storage.workspace import Workspace
from freshet.wiring import open_recommender, open_user_store, open_workspace
from tests.pipeline.world import FAKE, approving

WORLD = World(themes=6, items=48, users=110, days=44, change_day=30, sessions=7)
WHO = "user00019"
"""Somebody who is busy, and has a row of their own."""
MOMENT = AsOf.parse("2024-02-08")
NOW = datetime(2024, 3, 1, tzinfo=UTC)
SETTINGS = """
[events]
files = ["events.parquet", "more.csv"]
items = "items.parquet"
positive = "value >= 7"
[interests]
count = 6
[counts]
window_days = 7
fit_windows = 2
[evidence]
level = "instance"
[planner]
kind = "fake"
[users]
rows = 1000
"""


def write_world(folder: Path, marked: str, *, without: bool = False) -> None:
    """Event and item files in which `WHO` has another id, or in which they never were."""
    generate(WORLD, folder)
    table = pq.read_table(folder / "events.parquet")
    users = table["user_id"].to_pylist()
    renamed = [marked if user == WHO else user for user in users]
    table = table.set_column(table.column_names.index("user_id"), "user_id", pa.array(renamed))
    if without:
        table = table.filter(pa.array([user != marked for user in renamed]))
    pq.write_table(table, folder / "events.parquet")
    rows = ["user_id,item_id,timestamp,value", "another,i1,never,9"]
    if not without:
        rows += [f'"{marked}",i1,never,9', f'"{marked}",,2024-01-05T10:00:00Z,9']
    (folder / "more.csv").write_text("\n".join([*rows, "another,i2,2024-01-05T10:00:00Z,9"]) + "\n")


def make_shop(folder: Path, marked: str, extra: str = "", *, without: bool = False) -> Workspace:
    """A workspace with a release of everything."""
    folder.mkdir()
    write_world(folder, marked, without=without)
    (folder / "freshet.toml").write_text(SETTINGS + FAKE + extra)
    ws = open_workspace(folder)
    operations.import_log(ws, NOW)
    approving(lambda: refresh(ws, MOMENT, publish=True), ws)
    return ws


def serve(ws: Workspace, marked: str, others: tuple[str, ...] = ("another",), collect: bool = True) -> None:
    """Recommendations and events of some users, half of them collected."""
    clock = int(NOW.timestamp() * 1e6)
    recommender = open_recommender(ws.root, clock=lambda: clock)
    for at, user in enumerate([marked, *others] * 3):
        answer = recommender.recommend(Query(user=user))
        events = [
            Event(user, f"i{n}", clock - (at + n) * 1_000_000, 9.0, impression=answer.id) for n in (1, 2, 3)
        ]
        assert {receipt.status for receipt in recommender.record(events)} == {"recorded"}
        recommender.flush()
        if at == 2 and collect:
            users = open_user_store(ws.root, ws.config)
            operations.collect(ws, users, NOW + timedelta(minutes=1))
            users.close()
    recommender.close()


def litter(ws: Workspace, marked: str) -> None:
    """What dead runs, errors and replays leave."""
    (ws.root / "runs" / "error-20240101T000000-abcdef.txt").write_text(f"freshet x\n\nKeyError: {marked!r}\n")
    log = ws.root / "logs" / "00001.jsonl"
    log.parent.mkdir(exist_ok=True)
    said = {"at": "2024-01-01T00:00:00+00:00", "text": f"note: user {marked!r} has 269 of 4,038 events"}
    log.write_text(json.dumps(said, ensure_ascii=False) + "\n")
    draft = ws.root / ".drafts" / "import-dead"
    draft.mkdir(parents=True)
    shutil.copy(ws.root / "events.parquet", draft)
    damaged = ws.root / "damaged" / "impressions"
    make_folder(damaged)
    with written(damaged / "half.parquet") as aside:
        aside.write_bytes(json.dumps({"user": marked}).encode())


def all_bytes(root: Path, skip: tuple[str, ...] = ("events.parquet", "more.csv")) -> dict[str, bytes]:
    """Every file of a workspace but its sources and what is kept of the forgetting itself."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in skip and "privacy" not in path.relative_to(root).parts
    }
