"""A killed forgetting loses nothing of others, is refused nothing by what it left, and goes on."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from freshet.doctor import check
from freshet.privacy.forgetting import forget, unfinished
from freshet.serving import Query
from freshet.stages.events import EventLog
from freshet.wiring import existing_user_store, open_recommender, open_workspace
from tests.privacy.killed import killed
from tests.privacy.shops import NOW, litter, make_shop, serve

MARKED = "marked-4711"
AT = (2, 13, 25, 32, 50, 75)
"""Of 96 changes; some from every step."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ws = make_shop(tmp_path_factory.mktemp("used") / "shop", MARKED)
    serve(ws, MARKED)
    litter(ws, MARKED)
    return ws.root


def whole(root: Path) -> None:
    """Servers can open what is there: nothing is half done that they need."""
    recommender = open_recommender(root, clock=lambda: int(NOW.timestamp() * 1e6))
    assert recommender.recommend(Query(user="another")).interests
    recommender.close()
    for day in EventLog(root).snapshot().days:
        day.verify()


def goes_on(root: Path) -> None:
    ws = open_workspace(root)
    if unfinished(ws.root):
        assert "forgetting that never ended" in {one.what for one in check(ws).findings}
    users = existing_user_store(ws.root, ws.config)
    assert users is not None
    done = forget(ws, [MARKED], users, NOW + timedelta(seconds=9))
    users.close()
    assert done.clean, done.searched.traces
    assert done.removed["events"] > 30, "the receipt forgets what the killed call did"
    assert unfinished(ws.root) == 0
    assert not [one for one in check(open_workspace(root)).findings if one.damage]
    assert check(open_workspace(root), repair=True).healthy  # the record of the run that was killed


@pytest.mark.parametrize("at", AT)
def test_a_killed_call_goes_on(used: Path, tmp_path: Path, at: int) -> None:
    root = tmp_path / "shop"
    shutil.copytree(used, root, ignore=shutil.ignore_patterns("events.parquet", "more.csv"))
    rows = EventLog(root).snapshot().rows
    assert killed(root, MARKED, at) == 0, "it ended before"
    whole(root)
    goes_on(root)
    assert EventLog(root).snapshot().rows == rows - 37
