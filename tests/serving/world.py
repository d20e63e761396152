"""Recommenders on small workspaces, and users whose histories are those of the log."""

from __future__ import annotations

import time
from pathlib import Path

import duckdb
import numpy as np

from freshet import pipeline
from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from freshet.core.ports import UserStore
from freshet.core.types import AsOf, History
from freshet.core.types.ids import item_key
from freshet.serving import Recommender, ReleasePool
from freshet.storage.release_parts import parts_of
from freshet.storage.workspace import Workspace
from freshet.wiring import SETTINGS, WatchedConfig
from tests.pipeline.world import approving

PLAIN = """
[serving]
explore = 0.0
diversity = 0.0
"""
"""Takes the best, whatever they are like: what replay judges."""


def serve(ws: Workspace, folder: Path) -> tuple[Recommender, UserStore]:
    """A recommender on a workspace that remembers nobody yet."""
    state = LmdbUserStore(folder, 0.1)
    path = ws.root / SETTINGS
    releases = ReleasePool(
        ws.releases,
        ws.store,
        WatchedConfig(path),
        lambda one: one.catch_up(state.events, time.time_ns() // 1000),
        ws.experiments,
    )
    return Recommender(releases, state), state


def published(ws: Workspace, moment: AsOf) -> None:
    """Refresh as of a moment of the past, and serve that."""
    approving(lambda: pipeline.refresh(ws, moment, publish=True), ws)


def history_before(ws: Workspace, user: str, time: int) -> History:
    """What a user had engaged before a moment, by the log itself."""
    release = ws.releases.current()
    assert release is not None
    assignment = parts_of(ws.store, release).assignment.path / "assignment.parquet"
    events = str(ws.root / "events" / "**" / "*.parquet")
    with duckdb.connect() as db:
        rows = db.execute(
            f"""SELECT e.item, a.interest, max(epoch_us(e.time)) AS time
                FROM read_parquet('{events}', hive_partitioning = false, union_by_name = true) AS e
                JOIN read_parquet('{assignment}') AS a USING (item)
                WHERE e."user" = ? AND e.value >= 7 AND epoch_us(e.time) < ?
                GROUP BY ALL ORDER BY time""",
            [user, time],
        ).fetchall()
    last: dict[int, int] = {}
    for _, interest, when in rows:
        last[interest] = max(when, last.get(interest, when))
    return History(
        np.array([item_key(item) for item, _, _ in rows], np.uint64),
        np.array([when for _, _, when in rows], np.int64),
        np.array(list(last), np.int32),
        np.array(list(last.values()), np.int64),
    )
