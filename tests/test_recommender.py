"""The library: open a workspace, tell, explore, close; open it again, and what was told is still there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import freshet
from freshet.errors import ConfigError, NotServing
from freshet.workspace import Workspace
from tests.serving.world import published
from tests.steps.conftest import counted, world  # noqa: F401 - fixtures
from tests.steps.world import FIRST, copied, settings, workspace

NOON = datetime(2024, 2, 11, 12, tzinfo=UTC)


@pytest.fixture
def shop(counted: Workspace, tmp_path: Path) -> Path:  # noqa: F811
    ws = copied(counted, tmp_path / "shop")
    published(ws, FIRST)
    return ws.root


def test_what_is_told_counts_and_outlives_the_process(shop: Path) -> None:
    with freshet.Recommender.open(str(shop)) as recommender:
        item = next(iter(recommender.core._releases.current.items))
        assert recommender.tell("me", item, 9.0, datetime.now(UTC)).status == "recorded"
        told = recommender.explore("me", interests=2)
        assert len(told.context) == 1
        assert told.context == recommender.explore(history=[item]).context
        assert recommender.tell("me", item, 9.0, NOON, id="mine").status == "recorded"
    with freshet.Recommender.open(shop) as again:
        assert again.explore("me", interests=2, explain=True).context == told.context
        assert again.tell("me", item, 9.0, NOON, id="mine").status == "duplicate"
        assert not again.reload()


def test_users_of_the_log_are_known_from_the_start(shop: Path, world: Path) -> None:  # noqa: F811
    import pyarrow.parquet as pq

    users = sorted(set(pq.read_table(world / "events.parquet")["user_id"].to_pylist()))
    with freshet.Recommender.open(shop) as recommender:
        from freshet.serving import Ask

        moment = int(NOON.timestamp() * 1e6)
        asked = [recommender.core.explore(Ask(user=u, items=0, now=moment, log=False)) for u in users]
        assert sum(bool(answer.context) for answer in asked) > len(users) / 3


def test_a_time_needs_its_zone(shop: Path) -> None:
    with freshet.Recommender.open(shop) as recommender, pytest.raises(ConfigError, match="zone"):
        recommender.tell("me", "i", 1.0, datetime(2024, 1, 1))


def test_a_workspace_without_a_release_is_told(world: Path, tmp_path: Path) -> None:  # noqa: F811
    ws = workspace(tmp_path / "new", settings(world))
    with pytest.raises(NotServing):
        freshet.Recommender.open(ws.root)
    with pytest.raises(AttributeError, match="no attribute 'Recommend'"):
        _ = freshet.Recommend
