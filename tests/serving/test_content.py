"""Content in serving: what replay judges, with the items that users engaged, and said so that they know them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from freshet import doctor, operations, pipeline
from freshet.core.ports import UserStore
from freshet.core.types import AsOf, ContentView, Transitions
from freshet.core.types.ids import user_number
from freshet.pipeline import snapshot_of
from freshet.serving import Query, Recommender
from freshet.serving.user_histories import remember
from freshet.stages.content import step as vectors
from freshet.stages.content.format import FULL
from freshet.stages.counts import fusion
from freshet.stages.table.format import open_scorer
from freshet.storage.artifacts import committed
from freshet.storage.manifests import TableManifest
from freshet.storage.release_parts import missing_of
from freshet.storage.workspace import Workspace
from tests.pipeline.world import NOW, copied, make_world, refreshed, rewrite, settings, workspace
from tests.serving.world import PLAIN, serve

pytestmark = pytest.mark.slow
CUT, END = AsOf.parse("2024-02-12"), AsOf.parse("2024-02-26")
EXTRA = PLAIN + "[live]\nuse = false\n"


@dataclass(frozen=True)
class Shop:
    """A workspace whose log was cut when its release was made, and what happened afterwards.

    Attributes:
        ws: with the whole log now; the store of users knows of the part before the cut alone.
        names: of users, by number.
        next: what each user did first after the cut, where that was a transition.
        view: what content knows of their users.
    """

    ws: Workspace
    recommender: Recommender
    state: UserStore
    names: dict[int, str]
    next: Transitions
    view: ContentView
    engaged: dict[str, set[str]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    root = tmp_path_factory.mktemp("content")
    world = make_world(tmp_path_factory.mktemp("world"))
    cut = rewrite(
        world, root / "cut", lambda log: log.filter(pc.less(log["timestamp"], pa.scalar(CUT.moment)))
    )
    ws = workspace(root / "ws", settings(cut, extra=EXTRA))
    with pytest.MonkeyPatch.context() as patch:  # here it is asked what content does, not whether it pays
        patch.setattr(fusion, "_content_margin", lambda *_: ((-1.0, -2.0, -0.5), {}))
        refreshed(ws)
        pipeline.refresh(ws)
    recommender, state = serve(ws, root / "state")
    assert remember(ws, state) > 100
    ws = workspace(root / "ws", settings(world, extra=EXTRA))
    operations.import_log(ws, NOW, replace=True)
    with ws.run("test") as run:
        known = snapshot_of(ws, run, END)
    made = committed(ws.store, "content", _manifest(ws).inputs.content)
    log = pq.read_table(world / "events.parquet").filter(pc.greater_equal(pc.field("value"), 7))
    rows = _first(known.transitions.between(CUT, END), log)
    engaged: dict[str, set[str]] = {}
    for user, item in zip(log["user_id"].to_pylist(), log["item_id"].to_pylist(), strict=True):
        engaged.setdefault(user, set()).add(item)
    names = {user_number(user): user for user in engaged}
    yield Shop(ws, recommender, state, names, rows, vectors.view(ws, known, made, FULL, rows), engaged)
    recommender.close()


def _first(rows: Transitions, log: pa.Table) -> Transitions:
    """Of each user the transition that was all they did until then: serving knows all that came before."""
    since = log.filter(pc.greater_equal(log["timestamp"], pa.scalar(CUT.moment)))
    first: dict[int, int] = {}
    times = since["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
    for user, time in zip(since["user_id"].to_pylist(), times, strict=True):
        number = user_number(user)
        first[number] = min(time, first.get(number, time))
    pairs = zip(rows.user.tolist(), rows.time.tolist(), strict=True)
    return rows.take(np.array([time == first[user] for user, time in pairs]))


def _manifest(ws: Workspace) -> TableManifest:
    release = ws.releases.current()
    assert release is not None
    return TableManifest.of(committed(ws.store, "tables", release.table))


def test_answers_are_what_replay_evaluates(shop: Shop) -> None:
    """With content and histories that were joined from the log: each user's next step."""
    release = shop.ws.releases.current()
    assert release is not None
    interests = shop.recommender._releases.current.interests
    scorer = open_scorer(committed(shop.ws.store, "tables", release.table), len(interests))
    assert scorer.content is not None
    expected = scorer.rows(shop.next, shop.view).fused
    known = np.flatnonzero(shop.view.profiles(shop.next).any(axis=1))
    assert len(known) > 20
    without = scorer.rows(shop.next).fused
    finite = np.isfinite(expected)
    change = np.where(finite, expected, 0) - np.where(finite, without, 0)
    assert (np.abs(change).max(axis=1) > 0.01).sum() > 15  # there is something to agree on
    for row in known.tolist():
        query = Query(
            shop.names[int(shop.next.user[row])], None, 9, items=0, now=int(shop.next.time[row]), log=False
        )
        new = [offer for offer in shop.recommender.recommend(query).interests if offer.reason != "known"]
        assert len(new) == int(finite[row].sum())
        by_id = dict(zip(interests.ids.tolist(), expected[row].tolist(), strict=True))
        for offer in new:
            assert offer.score == pytest.approx(by_id[offer.id], abs=1e-4)


def test_it_says_which_items_speak_for_an_interest(shop: Shop) -> None:
    """Items of the user's own, by their titles, where they make the interest likelier."""
    titles = pq.read_table(shop.ws.config.events.items)
    by_id = dict(zip(titles["item_id"].to_pylist(), titles["title"].to_pylist(), strict=True))
    said = 0
    for row in range(len(shop.next)):
        user = shop.names[int(shop.next.user[row])]
        query = Query(user, None, 3, items=0, explain=True, now=int(shop.next.time[row]), log=False)
        for offer in shop.recommender.recommend(query).interests:
            found = offer.explanation
            if found is None or not found["liked"]:
                continue
            nats = [one["nats"] for one in found["liked"]]
            assert nats == sorted(nats, reverse=True)
            assert min(nats) > 0
            assert "about 1.0 times" not in found["because"]  # that would be no reason
            for one in found["liked"]:
                assert one["id"] in shop.engaged[user]
                assert one["title"] == by_id[one["id"]]
                assert f"'{one['title']}'" in found["because"]
            assert "because they liked" in found["because"]
            said += 1
    assert said > 10


def test_a_release_whose_vectors_are_lost_goes_by_recent_interests(shop: Shop, tmp_path: Path) -> None:
    ws = copied(shop.ws, tmp_path / "ws")
    release = ws.releases.current()
    assert release is not None
    made = committed(ws.store, "content", _manifest(ws).inputs.content)
    (made.path / "text.npy").write_bytes(b"half")
    part = f"content/{made.version}"
    assert missing_of(ws.store, release) == (part,)
    recommender, state = serve(ws, tmp_path / "state")
    opened = recommender._releases.current
    assert opened.missing == (part,)
    assert opened.content is None
    remember(ws, state)
    scorer = open_scorer(committed(ws.store, "tables", release.table), len(opened.interests))
    some = shop.next.take(np.arange(0, len(shop.next), 5))
    for row, fused in enumerate(scorer.rows(some).fused):
        recent = some.recent[row]
        found = opened.single_user(recent, some.known[row]).fused
        np.testing.assert_allclose(found, fused, atol=1e-4)
    items = sorted(next(iter(shop.engaged.values())))[:3]
    answer = recommender.recommend(Query(history=tuple(items), interests=3, items=0, explain=True))
    assert len(answer.interests) == 3
    assert all(offer.explanation is not None and not offer.explanation["liked"] for offer in answer.interests)
    recommender.close()
    told = doctor.check(ws).findings
    assert any(part in finding.where for finding in told)
    assert any("serves without it" in finding.what and finding.where == part for finding in told)
