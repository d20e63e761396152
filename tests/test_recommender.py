"""The library: open a workspace, tell, explore, close; open it again, and what was told is still there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

import freshet
from freshet import operations
from freshet.core.errors import ConfigError, NotServing
from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.stages.events import EventLog
from freshet.storage.workspace import Workspace
from freshet.wiring import open_user_store, open_workspace
from tests.pipeline.world import FIRST, copied, settings, workspace
from tests.serving.world import published

pytestmark = pytest.mark.slow

NOON = datetime(2024, 2, 11, 12, tzinfo=UTC)


@pytest.fixture
def shop(counted: Workspace, tmp_path: Path) -> Path:
    ws = copied(counted, tmp_path / "shop")
    published(ws, FIRST)
    return ws.root


def test_what_is_recorded_counts_and_outlives_the_process(shop: Path) -> None:
    with freshet.Recommender.open(str(shop)) as recommender:
        item = next(iter(recommender.core._releases.current.items))
        assert recommender.record("me", item, 9.0, datetime.now(UTC)).status == "recorded"
        answer = recommender.recommend("me", interests=2)
        assert len(answer.context) == 1
        assert answer.context == recommender.recommend(history=[item]).context
        assert recommender.record("me", item, 9.0, NOON, id="mine").status == "recorded"
    with freshet.Recommender.open(shop) as again:
        assert again.recommend("me", interests=2, explain=True).context == answer.context
        assert again.record("me", item, 9.0, NOON, id="mine").status == "duplicate"
        assert not again.reload()


def test_what_follows_from_an_answer_is_in_the_log_with_it(shop: Path) -> None:
    """What experiments are judged by: the experiment, the impression, and the event that names it."""
    ws = open_workspace(shop)
    arms = tuple(ExperimentArm(name, 0.5, Serves()) for name in ("a", "b"))
    operations.start_experiment(ws, Experiment("one", "salt", arms, 1.0, ("satisfied",), 0, 1))
    with freshet.Recommender.open(shop) as recommender:
        answer = recommender.recommend("me", interests=1)
        item = next(iter(recommender.core._releases.current.items))
        recommender.record("me", item, 9.0, NOON, impression=answer.id)
    state = open_user_store(shop, ws.config)
    _, found = operations.collect(ws, state, datetime.now(UTC))
    state.close()
    assert (found.added, found.impressions) == (1, 1)
    [event] = duckdb.sql(
        f"""SELECT e."user", e.impression, i.experiment, i.arm FROM {EventLog(shop).snapshot().scan} AS e
        JOIN read_parquet('{shop}/impressions/*/*.parquet') AS i ON i.id = e.impression"""
    ).fetchall()
    assert event == ("me", answer.id, "one", answer.arm)
    assert answer.arm in ("a", "b")


def test_users_of_the_log_are_known_from_the_start(shop: Path, world: Path) -> None:
    import pyarrow.parquet as pq

    users = sorted(set(pq.read_table(world / "events.parquet")["user_id"].to_pylist()))
    with freshet.Recommender.open(shop) as recommender:
        from freshet.serving import Query

        moment = int(NOON.timestamp() * 1e6)
        asked = [recommender.core.recommend(Query(user=u, items=0, now=moment, log=False)) for u in users]
        assert sum(bool(answer.context) for answer in asked) > len(users) / 3


def test_former_names_still_work_and_warn(shop: Path) -> None:
    from freshet import serving

    with freshet.Recommender.open(shop) as recommender:
        item = next(iter(recommender.core._releases.current.items))
        with pytest.warns(DeprecationWarning, match="record"):
            assert recommender.tell("me", item, 9.0, NOON).status == "recorded"
        with pytest.warns(DeprecationWarning, match="recommend"):
            assert recommender.explore(history=[item], items=0) is not None
        with pytest.warns(DeprecationWarning, match="recommend"):
            assert recommender.core.explore(serving.Query(items=0)).release == 1
    with pytest.warns(DeprecationWarning, match="Query"):
        assert serving.Ask is serving.Query
    with pytest.warns(DeprecationWarning, match="Event"):
        assert serving.Posted is serving.Event


def test_a_time_needs_its_zone(shop: Path) -> None:
    with freshet.Recommender.open(shop) as recommender, pytest.raises(ConfigError, match="zone"):
        recommender.record("me", "i", 1.0, datetime(2024, 1, 1))


def test_a_workspace_without_a_release_is_told(world: Path, tmp_path: Path) -> None:
    ws = workspace(tmp_path / "new", settings(world))
    with pytest.raises(NotServing):
        freshet.Recommender.open(ws.root)
    with pytest.raises(AttributeError, match="no attribute 'Recommend'"):
        _ = freshet.Recommend
