"""Serving looks for a user's own row first, and says so; without one, users are answered by their pairs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from freshet import operations
from freshet.core.types import History, Recommendation, UserRows, user_key, user_number
from freshet.serving import Query, Recommender
from freshet.stages import users
from freshet.stages.table.format import open_scorer
from freshet.stages.users.format import open_user_part
from freshet.stages.users.weighing import Weighed
from freshet.storage.artifacts import committed
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FAKE, INTERESTS, SECOND, copied, settings, workspace
from tests.pipeline.world import NOW as IMPORTED
from tests.serving.world import PLAIN, history_before, published, serve

pytestmark = pytest.mark.slow
TEXT = FAKE.replace("= 120", "= 4000") + PLAIN + "[users]\nrows = 1000\n"
NOW = int(SECOND.moment.timestamp()) * 1_000_000


@dataclass(frozen=True)
class Shop:
    """A workspace whose release has rows of users, some of these users by name, and what they engaged."""

    ws: Workspace
    recommender: Recommender
    histories: dict[str, History]


@pytest.fixture(scope="module")
def shop(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    root = tmp_path_factory.mktemp("shop")
    ws = workspace(root / "ws", settings(world, "fake", TEXT).replace("fit_windows = 2", "fit_windows = 3"))
    operations.import_log(ws, IMPORTED)
    with pytest.MonkeyPatch.context() as patch:  # here it is asked what rows do, not whether they pay
        patch.setattr(Weighed, "pays", property(lambda _: True))
        published(ws, SECOND)
    recommender, state = serve(ws, root / "state")
    numbers = set(rows_of(ws).user.tolist())
    everybody = sorted(set(pq.read_table(world / "events.parquet")["user_id"].to_pylist()))
    names = [name for name in everybody if user_number(name) in numbers][:25]
    histories = {name: history_before(ws, name, NOW) for name in names}
    state.merge((user_key(name), history) for name, history in histories.items())
    yield Shop(ws, recommender, histories)
    recommender.close()


def rows_of(ws: Workspace) -> UserRows:
    release = ws.releases.current()
    assert release is not None
    return users.read(committed(ws.store, "user_rows", release.users).path)


def ask(shop: Shop, user: str | None, history: tuple[str, ...] | None = None) -> list[Recommendation]:
    answer = shop.recommender.recommend(
        Query(user, history, interests=INTERESTS, items=0, explain=True, now=NOW, log=False)
    )
    return [one for one in answer.interests if one.reason != "known"]


def expected(shop: Shop, user: str, with_rows: bool) -> dict[int, float]:
    """What the mixture of the table gives, by id of the interest."""
    release = shop.recommender._releases.current
    table = committed(shop.ws.store, "tables", release.release.table)
    scorer = open_scorer(table, len(release.interests))
    rows = committed(shop.ws.store, "user_rows", release.release.users)
    scorer = replace(scorer, users=open_user_part(rows, scorer))
    history, number = shop.histories[user], user_number(user)
    seen = release.user_context(history.interests, history.interest_times, NOW, number)
    named = np.array([number], np.uint64) if with_rows else None
    found = scorer(seen.recent[None], seen.known[None], user=named).fused[0]
    return dict(zip(release.interests.ids.tolist(), found.tolist(), strict=True))


def test_answers_are_those_of_the_mixture_with_the_users_own_row(shop: Shop) -> None:
    changed = 0
    for user in shop.histories:
        scores, without = expected(shop, user, True), expected(shop, user, False)
        for one in ask(shop, user):
            assert one.score == pytest.approx(scores[one.id], abs=1e-4)
            changed += abs(scores[one.id] - without[one.id]) > 0.01
    assert changed > 50


def test_it_says_that_the_planner_was_asked_about_this_very_user(shop: Shop) -> None:
    [user, *_] = shop.histories
    for one in ask(shop, user):
        assert one.explanation is not None
        assert one.explanation["user_row"] == str(SECOND)
        assert 0 <= one.explanation["parts"]["user_row"] <= 1
        assert f"by a user row as of {SECOND}" in one.explanation["because"]
    for nobody in (None, "nobody"):
        for one in ask(shop, nobody):
            assert one.explanation is not None
            assert one.explanation["user_row"] is None
            assert "user_row" not in one.explanation["parts"]
            assert "user row" not in one.explanation["because"]


def test_a_user_who_has_engaged_something_since_is_answered_by_pairs(shop: Shop) -> None:
    """As one who brings another history than the one that was asked about."""
    [user, *_] = shop.histories
    release = shop.recommender._releases.current
    items = list(release.items)
    brought, foreign = (ask(shop, name, tuple(items[:3])) for name in (user, "nobody"))
    assert [(one.id, one.score) for one in brought] == [(one.id, one.score) for one in foreign]
    assert all(one.explanation and one.explanation["user_row"] is None for one in brought)


def test_a_release_serves_without_rows_that_are_lost(shop: Shop, tmp_path: Path) -> None:
    ws = copied(shop.ws, tmp_path / "ws")
    release = ws.releases.current()
    assert release is not None
    shutil.rmtree(ws.root / "user_rows" / release.users)
    recommender, state = serve(ws, tmp_path / "state")
    state.merge((user_key(name), history) for name, history in shop.histories.items())
    opened = recommender._releases.current
    assert opened.missing == (f"user_rows/{release.users}",)
    assert opened.scorer.users is None
    [user, *_] = shop.histories
    found = Shop(ws, recommender, shop.histories)
    without = expected(shop, user, False)
    for one in ask(found, user):
        assert one.score == pytest.approx(without[one.id], abs=1e-4)
    recommender.close()
