"""`freshet collect`, and what serving changes about `freshet run`."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from freshet import Recommender
from freshet.core.types import user_key
from freshet.serving.user_histories import NOTE
from freshet.wiring import SETTINGS, load, open_user_store
from tests.cli.conftest import answered, called

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


@pytest.fixture
def copy(shop: Path, tmp_path: Path) -> Path:
    shutil.copytree(shop.parent / "world", tmp_path / "world")
    return Path(shutil.copytree(shop, tmp_path / "shop"))


def test_what_was_told_is_collected(copy: Path) -> None:
    with Recommender.open(copy) as shop:
        for n in range(5):
            shop.record("somebody", f"item{n:05d}", value=9, id=f"e{n}")
        shop.recommend("somebody", items=0)
    found = answered("collect", "-w", copy)
    documented = re.search(r"## freshet collect\n(.*?)\n## ", DOCS.read_text(), re.DOTALL)[1]
    assert {*found} - {*re.findall(r"`(\w+)`", documented), "command", "schema"} == set()
    assert (found["events"], found["added"], found["impressions"], found["forgotten"]) == (5, 5, 1, 0)
    told = called("collect", "-w", copy)
    assert "0 events collected: 0 new to the log, 0 known; 0 impressions written" in told.stdout


def test_a_workspace_that_was_never_served_has_nothing_to_collect(copy: Path) -> None:
    error = answered("collect", "-w", copy, code=2)["error"]
    assert error["type"] == "NotServing"
    assert "has never been served" in error["message"]
    assert not (copy / "state").exists()


def test_a_state_that_is_neither_is_told(copy: Path) -> None:
    settings = copy / "freshet.toml"
    settings.write_text(settings.read_text() + '\n[serving]\nstate = "postgres://here"\n')
    error = answered("collect", "-w", copy, code=2)["error"]
    assert error["type"] == "ConfigError"
    assert 'expected "lmdb" or the URL of a Redis server' in error["message"]


def test_a_redis_that_is_away_is_told_as_retryable(copy: Path) -> None:
    settings = copy / "freshet.toml"
    settings.write_text(settings.read_text() + '\n[serving]\nstate = "redis://127.0.0.1:1/0"\n')
    error = answered("run", "-w", copy, code=2)["error"]
    assert (error["type"], error["retryable"]) == ("StateError", True)
    assert "can't be reached" in error["message"]


def test_days_that_are_imported_reach_the_histories_with_a_refresh(copy: Path) -> None:
    with Recommender.open(copy):
        pass
    log = pq.read_table(next((copy / "events").glob("date=*/*.parquet")))
    late = copy / "late.csv"
    late.write_text(f"user_id,item_id,timestamp,value\nlate,item00001,{log['time'][0].as_py()},9\n")
    answered("import", "-w", copy, late)
    answered("refresh", "-w", copy)
    with closing(open_user_store(copy, load(copy / SETTINGS))) as state:
        assert len(state.histories([user_key("late")])[0].items) == 1


def test_a_rollback_joins_histories_and_does_without_a_state_that_is_away(copy: Path) -> None:
    with Recommender.open(copy):
        pass
    with closing(open_user_store(copy, load(copy / SETTINGS))) as state:
        state.notes.put(NOTE, b"{}")
    answered("rollback", "-w", copy)
    with closing(open_user_store(copy, load(copy / SETTINGS))) as state:
        assert json.loads(state.notes.get(NOTE) or b"{}")["days"]
    settings = copy / "freshet.toml"
    settings.write_text(settings.read_text() + '\n[serving]\nstate = "redis://127.0.0.1:1/0"\n')
    told = called("rollback", "-w", copy, "2")
    assert "histories are not joined" in told.stderr
