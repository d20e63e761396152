"""Answers: those that replay evaluates, never empty, out of one release; events count in the next request."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freshet.core.errors import ArtifactError, ConfigError, NotServing
from freshet.core.pauses import Pauses
from freshet.core.ports import UserStore
from freshet.core.types import AsOf
from freshet.core.types.ids import user_key, user_number
from freshet.pipeline import snapshot_of
from freshet.serving import Event, Query, Recommender, impressions, release_pool
from freshet.stages import live
from freshet.stages.content import step as content
from freshet.stages.content.format import FULL
from freshet.stages.counts import log_softmax
from freshet.stages.table.format import open_scorer
from freshet.stages.transitions.day_files import files, read_columns
from freshet.storage.artifacts import committed
from freshet.storage.durable import write_json
from freshet.storage.manifests import TableManifest
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FAKE, FIRST, SECOND, copied, settings, workspace
from tests.serving.world import PLAIN, history_before, published, serve

HOUR = 3_600_000_000
WEEKLY = "[schedule]\nrefresh_days = 7\n"
"""A table that gets a week old leaves live signals something to tell."""


@pytest.fixture
def shop(planned: Workspace, world: Path, tmp_path: Path) -> Workspace:
    """A copy of the workspace that serves, and takes the best of everything."""
    ws = copied(planned, tmp_path / "shop", settings(world, "fake", FAKE + PLAIN + WEEKLY))
    published(ws, FIRST)
    return ws


@pytest.fixture
def served(shop: Workspace, tmp_path: Path) -> Iterator[tuple[Recommender, UserStore]]:
    recommender, state = serve(shop, tmp_path / "state")
    yield recommender, state
    recommender.close()


def some_items(ws: Workspace, recommender: Recommender, count: int) -> list[str]:
    """Items of different interests."""
    release = recommender._releases.current
    found: dict[int, str] = {}
    for item, interest in release.items.items():
        found.setdefault(interest, item)
    return list(found.values())[:count]


def test_answers_are_what_replay_evaluates(
    shop: Workspace,
    served: tuple[Recommender, UserStore],
    world: Path,
) -> None:
    """Every judged transition: the scores by serving are those of the arm, and so is the order."""
    recommender, state = served
    with shop.run("test") as run:
        known = snapshot_of(shop, run, SECOND)
    test = known.transitions.between(FIRST, SECOND)
    release = shop.releases.current()
    assert release is not None
    made = shop.store.find("tables", release.table)
    assert made is not None
    vectors = committed(shop.store, "content", TableManifest.of(made).inputs.content)
    described = content.view(shop, known, vectors, FULL, test)
    expected = open_scorer(made, len(known.interests)).rows(test, described)
    lively = shop.store.find("overlays", release.overlay)
    assert lively is not None
    overlay = live.read(lively.path)
    assert overlay is not None
    users = _names(world)
    times = _times(shop, known)
    checked = 0
    for row in range(0, len(test), 3):
        user = users[int(test.user[row])]
        time = times[int(test.user[row]), int(test.day[row]), int(test.successor[row])]
        state.merge([(user_key(user), history_before(shop, user, time))])
        seen = recommender.recommend(Query(user=user, interests=9, items=0, now=time, log=False))
        bonus = overlay.bonus(int(test.recent[row, -1]), time)
        [fused] = log_softmax(expected.fused[[row]] + bonus, test.known[[row]])
        new = [offer for offer in seen.interests if offer.reason != "known"]
        assert len(new) == int(np.isfinite(fused).sum())
        for place, offer in enumerate(new):
            index = int(np.flatnonzero(known.interests.ids == offer.id)[0])
            assert offer.score == pytest.approx(fused[index], abs=1e-4)
            assert offer.score == pytest.approx(np.sort(fused)[::-1][place], abs=1e-4)
        checked += 1
    assert checked > 30


def _names(world: Path) -> dict[int, str]:
    import pyarrow.parquet as pq

    return {user_number(u): u for u in set(pq.read_table(world / "events.parquet")["user_id"].to_pylist())}


def _times(ws: Workspace, known: object) -> dict[tuple[int, int, int], int]:
    """(user, day, successor) -> microseconds of the step."""
    log = known.transitions  # type: ignore[attr-defined]
    found = {}
    for path in files(ws.pool, log._index):
        table = read_columns(path)
        columns = (table["user_key"].to_pylist(), table["time"].to_pylist(), table["successor"].to_pylist())
        for user, time, successor in zip(*columns, strict=True):
            found[user, time // (24 * HOUR), successor] = time
    return found


def test_a_user_with_just_one_context_gets_the_row_of_the_table(
    served: tuple[Recommender, UserStore],
) -> None:
    """What their items tell beside it is left out: a row stands for everybody with the context."""
    recommender, _ = served
    release = recommender._releases.current
    release.content = None
    items = some_items(None, recommender, 9)  # type: ignore[arg-type]
    for history in ((), items[:1], items[:2]):
        context = tuple(release.items[item] for item in history)
        row = release.table.look_up(context)
        answer = recommender.recommend(Query(history=tuple(history), interests=5, items=0))
        assert [offer.id for offer in answer.interests] == release.interests.ids[row.successors[:5]].tolist()
        assert answer.answered == ("popular", "last", "pair")[len(history)]
        np.testing.assert_allclose([offer.score for offer in answer.interests], row.fused[:5], atol=1e-4)


@pytest.mark.parametrize("user", ["nobody knows", "", "ü" * 200])
def test_unknown_users_get_what_is_popular(served: tuple[Recommender, UserStore], user: str) -> None:
    answer = served[0].recommend(Query(user=user, interests=3, items=10))
    assert len(answer.interests) == 3
    assert {offer.reason for offer in answer.interests} == {"popular"}
    assert answer.context == ()


def test_histories_of_any_length_and_of_unknown_items_are_answered(
    served: tuple[Recommender, UserStore],
) -> None:
    recommender, _ = served
    items = some_items(None, recommender, 9)  # type: ignore[arg-type]
    for history in ((), ("no such item",), tuple(items[:1]), tuple(items[:2]) * 5_000):
        answer = recommender.recommend(Query(history=history, interests=3))
        assert len(answer.interests) == 3


def test_one_who_knows_everything_is_shown_what_they_engaged_longest_ago(
    served: tuple[Recommender, UserStore],
) -> None:
    recommender, _ = served
    items = some_items(None, recommender, 99)  # type: ignore[arg-type]
    now = 1_710_000_000_000_000
    recommender.record([Event("u", item, now + place, 9.0) for place, item in enumerate(items)])
    answer = recommender.recommend(Query(user="u", interests=2, items=0, now=now + HOUR))
    assert [offer.reason for offer in answer.interests] == ["known", "known"]
    release = recommender._releases.current
    assert [offer.id for offer in answer.interests] == [
        int(release.interests.ids[release.items[item]]) for item in items[:2]
    ]
    assert all(offer.score == -math.inf for offer in answer.interests)


def test_an_event_counts_in_the_next_request_once(served: tuple[Recommender, UserStore]) -> None:
    recommender, _ = served
    item, other = some_items(None, recommender, 2)  # type: ignore[arg-type]
    event = Event("u", item, 1_708_000_000_000_000, 9.0)
    assert [r.status for r in recommender.record([event, event])] == ["recorded", "duplicate"]
    assert [r.status for r in recommender.record([event])] == ["duplicate"]
    assert [r.status for r in recommender.record([replace(event, id="mine")])] == ["recorded"]
    release = recommender._releases.current
    answer = recommender.recommend(Query(user="u", interests=9, items=0, now=1_708_000_000_000_001))
    assert answer.context == (release.interests.descriptions[release.items[item]],)
    shown = [offer.id for offer in answer.interests if offer.reason != "known"]
    assert release.interests.ids[release.items[item]] not in shown
    recommender.record([Event("u", other, 1_708_000_000_000_000 - HOUR, 9.0)])  # it comes late
    late = recommender.recommend(Query(user="u", items=0, now=1_708_000_000_000_001))
    assert late.context == (
        release.interests.descriptions[release.items[other]],
        release.interests.descriptions[release.items[item]],
    )


def test_what_is_not_positive_leaves_no_trace_in_the_history(served: tuple[Recommender, UserStore]) -> None:
    recommender, state = served
    item = some_items(None, recommender, 1)[0]  # type: ignore[arg-type]
    receipts = recommender.record([Event("u", item, 1_708_000_000_000_000, 3.0)])
    assert receipts[0].status == "recorded"
    assert recommender.recommend(Query(user="u", items=0)).context == ()
    assert len(state.events.read(0, 10)) == 1


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (Event("u", "i", 10**18), "more than a day in the future"),
        (Event("u", "i", -1), "before 1970"),
        (Event("u", "i", 1, math.nan), "finite"),
        (Event(" ", "i", 1), "user is empty"),
        (Event("u", "", 1), "item is empty"),
        (Event("None", "i", 1), "user is 'None', which stands for none ([events] missing)"),
        (Event("u", " undefined ", 1), "item is 'undefined', which stands for none"),
    ],
)
def test_bad_events_are_refused_by_name_and_the_others_stay(
    served: tuple[Recommender, UserStore], event: Event, why: str
) -> None:
    receipts = served[0].record([event, Event("u", "no such item", 1)])
    assert (receipts[0].status, receipts[1].status) == ("refused", "recorded")
    assert why in receipts[0].why


def test_an_id_that_stands_for_none_makes_no_duplicates(served: tuple[Recommender, UserStore]) -> None:
    told = [Event("u", "no such item", time, id="null") for time in (1, 2, 2)]
    assert [one.status for one in served[0].record(told)] == ["recorded", "recorded", "duplicate"]


def test_impressions_wait_in_a_buffer_and_say_what_was_shown(served: tuple[Recommender, UserStore]) -> None:
    recommender, state = served
    answer = recommender.recommend(Query(user="u", interests=2))
    recommender.recommend(Query(user="u", log=False))
    assert recommender.buffered == 1
    assert recommender.flush() == 1
    [entry] = state.impressions.read(0, 10)
    assert answer.id.encode() in entry.body
    assert b'"propensity":1.0' in entry.body
    assert recommender.flush() == 0


def test_a_preview_is_the_answer_and_leaves_no_trace(shop: Workspace, tmp_path: Path) -> None:
    looked, state = serve(shop, tmp_path / "looked")
    untouched, _ = serve(shop, tmp_path / "untouched")
    items = some_items(shop, looked, 3)
    now = AsOf.parse("2024-02-12").microseconds + HOUR
    queries = [
        Query(user="u", interests=3, explain=True, now=now),
        Query(history=tuple(items), items=4, now=now),
    ]
    for query in queries:
        seen, drawn = looked.preview(query), looked.preview(query, explore=True)
        told = untouched.recommend(replace(query, log=False))
        assert replace(told, id="") == seen  # tells the same, also of the reasons
        assert (seen.id, seen.explored, drawn.explored) == ("", False, True)
    assert looked.buffered == 0
    assert looked.flush() == 0
    assert not state.impressions.read(0, 10)
    assert not state.events.read(0, 10)
    looked.close()
    untouched.close()


def test_a_release_is_swapped_while_the_one_before_stays_open(
    shop: Workspace, served: tuple[Recommender, UserStore]
) -> None:
    recommender, _ = served
    assert not recommender.reload()
    published(shop, SECOND)
    assert recommender.current == 1
    assert recommender.reload()
    assert recommender.current == 2
    assert recommender.recommend(Query(history=())).release == 2
    assert recommender.recommend(Query(history=(), release=1)).release == 1
    with pytest.raises(ArtifactError, match="release 7 is not open"):
        recommender.recommend(Query(history=(), release=7))
    assert recommender.switch(1) == 1
    assert not recommender.reload()  # it is pinned
    assert recommender.recommend(Query(history=())).release == 1
    assert recommender.switch(None) == 2
    assert [(one["number"], one["serving"]) for one in recommender.releases()] == [(2, True), (1, False)]


def test_a_release_that_is_broken_does_not_serve(
    shop: Workspace, served: tuple[Recommender, UserStore]
) -> None:
    recommender, _ = served
    published(shop, SECOND)
    made = shop.releases.get(2).table
    (shop.root / "tables" / made / "successors.npy").write_bytes(b"half")
    with pytest.raises(ArtifactError):
        recommender.reload()
    assert recommender.current == 1
    assert recommender.recommend(Query(history=())).release == 1


def test_a_rule_that_changed_counts_though_the_release_is_broken(
    shop: Workspace, served: tuple[Recommender, UserStore]
) -> None:
    recommender, _ = served
    published(shop, SECOND)
    made = shop.releases.get(2).table
    (shop.root / "tables" / made / "successors.npy").write_bytes(b"half")
    path = shop.root / "freshet.toml"
    path.write_text(path.read_text().replace("value >= 7", "value >= 9"))
    for _ in range(2):
        with pytest.raises(ArtifactError):
            recommender.reload()
    item = some_items(None, recommender, 1)[0]  # type: ignore[arg-type]
    recommender.record([Event("u", item, 1_708_000_000_000_000, np.float64(8.0))])
    assert recommender.recommend(Query(user="u", items=0, now=1_708_000_000_000_001)).context == ()


def test_impressions_are_bounded_and_written_in_portions(
    served: tuple[Recommender, UserStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    recommender, state = served
    for _ in range(1200):
        recommender.recommend(Query(history=(), interests=1, items=0))
    assert recommender.flush() == 1200
    assert len(state.impressions.read(0, 5000)) == 1200
    monkeypatch.setattr(impressions, "MOST", 1)
    recommender.recommend(Query(history=()))
    assert recommender.buffered == 0


def test_a_release_that_lost_its_overlay_and_ranker_serves_without(shop: Workspace, tmp_path: Path) -> None:
    release = replace(shop.releases.get(1), ranker="gone")
    write_json(shop.root / "releases" / "1.json", release.as_dict())
    parts = (f"overlays/{release.overlay}", "rankers/gone")
    next((shop.root / parts[0]).glob("*.npy")).write_bytes(b"half")
    recommender, _ = serve(shop, tmp_path / "state")
    opened = recommender._releases.current
    assert opened.missing == parts
    assert (opened.overlay, opened.selector) == (None, None)
    assert len(recommender.recommend(Query(history=(), interests=2)).interests) == 2
    recommender.close()


def test_rules_are_read_anew_and_a_wrong_one_changes_nothing(
    shop: Workspace, served: tuple[Recommender, UserStore]
) -> None:
    recommender, _ = served
    best = recommender.recommend(Query(history=(), interests=1, items=0)).interests[0]
    path = shop.root / "freshet.toml"
    text = path.read_text()
    path.write_text(f'{text}\n[table]\nblocked = ["{best.id}"]\n')
    assert recommender.reload()
    shown = recommender.recommend(Query(history=(), interests=99, items=0)).interests
    assert best.id not in [offer.id for offer in shown]
    path.write_text(f'{text}\n[table]\nblocked = ["no such interest"]\n')
    with pytest.raises(ConfigError):
        recommender.reload()
    shown = recommender.recommend(Query(history=(), interests=99, items=0)).interests
    assert best.id not in [offer.id for offer in shown]


def test_rules_hold_for_requests_that_say_so(shop: Workspace, served: tuple[Recommender, UserStore]) -> None:
    recommender, _ = served
    best = recommender.recommend(Query(history=(), interests=1, items=0)).interests[0]
    path = shop.root / "freshet.toml"
    rule = f'\n[[serving.rules]]\nattribute = "region"\nvalues = ["DE"]\nblocked = ["{best.id}"]\n'
    path.write_text(path.read_text() + rule)
    recommender.reload()

    def first(region: str) -> int:
        ask = Query(history=(), interests=1, items=0, attributes={"region": region})
        return recommender.recommend(ask).interests[0].id

    assert first("FR") == best.id
    assert first("DE") != best.id


def test_releases_that_are_held_stay_open(shop: Workspace, served: tuple[Recommender, UserStore]) -> None:
    recommender, _ = served
    published(shop, SECOND)
    for _ in range(4):
        release = shop.releases.current()
        assert release is not None
        again = replace(release, number=release.number + 1, run="again", previous=release.number)
        write_json(shop.root / "releases" / f"{again.number}.json", again.as_dict())
        shop.releases.point_to(again.number)
        if again.number == 3:
            recommender.hold(1)
        recommender.reload()
    assert recommender.current == 6
    opened = {one["number"] for one in recommender.releases() if one["open"]}
    assert 1 in opened
    assert len(opened) <= 5
    assert recommender.recommend(Query(history=(), release=1)).release == 1
    with pytest.raises(ArtifactError, match="no release 99"):
        recommender.hold(99)


def test_only_where_rules_allow_nothing_an_answer_is_empty(
    shop: Workspace, served: tuple[Recommender, UserStore]
) -> None:
    recommender, _ = served
    ids = [str(i) for i in recommender._releases.current.interests.ids.tolist()]
    path = shop.root / "freshet.toml"
    path.write_text(path.read_text() + f"\n[table]\nblocked = {ids[1:]}\n".replace("'", '"'))
    recommender.reload()
    assert [str(o.id) for o in recommender.recommend(Query(history=(), items=0)).interests] == ids[:1]


def test_nothing_published_is_told(world: Path, tmp_path: Path) -> None:
    ws = workspace(tmp_path / "new", settings(world))
    with pytest.raises(NotServing, match="no release is published yet"):
        serve(ws, tmp_path / "state")


def test_explained(served: tuple[Recommender, UserStore]) -> None:
    recommender, _ = served
    items = some_items(None, recommender, 3)  # type: ignore[arg-type]
    answer = recommender.recommend(Query(history=tuple(items), interests=2, items=0, explain=True))
    first = answer.interests[0].explanation
    assert first is not None
    assert first["rank"] == 1
    assert first["probability"] == pytest.approx(math.exp(answer.interests[0].score), rel=1e-3)
    assert {"counts"} <= set(first["parts"])
    release = recommender._releases.current
    context = tuple(release.items[item] for item in items[-2:])
    row = release.interests.ids[release.table.look_up(context).successors].tolist()
    for offer in answer.interests:
        assert offer.explanation is not None
        assert row[offer.explanation["row"] - 1] == offer.id
    assert answer.context[-1] in first["because"]


def test_two_copies_answer_alike_by_their_seed(shop: Workspace, tmp_path: Path) -> None:
    path = shop.root / "freshet.toml"
    path.write_text(path.read_text().replace("explore = 0.0", "explore = 1.0\nseed = 5"))
    answers = []
    for name in ("a", "b"):
        recommender, _ = serve(shop, tmp_path / name)
        if name == "b":  # a preview draws for itself
            assert recommender.preview(Query(history=(), items=0), explore=True).explored
        drawn = [recommender.recommend(Query(history=(), items=0)) for _ in range(5)]
        answers.append([[(offer.id, offer.propensity) for offer in one.interests] for one in drawn])
        assert all(one.explored for one in drawn)
        assert any(offer.reason == "explored" for one in drawn for offer in one.interests)
        assert all(0 < offer.propensity < 1 for one in drawn for offer in one.interests)
        recommender.close()
        shutil.rmtree(tmp_path / name)
    assert answers[0] == answers[1]


def test_days_are_whole(served: tuple[Recommender, UserStore]) -> None:
    assert AsOf.parse("2024-02-12").moment.timestamp() * 1e6 == served[0]._releases.current.since


def test_only_a_release_that_is_opened_beside_answers_is_opened_with_pauses(
    shop: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bool] = []

    def noted(*, taken: bool) -> Pauses:
        made.append(taken)
        return Pauses(taken=taken)

    monkeypatch.setattr(release_pool, "Pauses", noted)
    recommender, _ = serve(shop, tmp_path / "state")
    published(shop, SECOND)
    assert recommender.reload()
    recommender.close()
    assert made == [False, True]
