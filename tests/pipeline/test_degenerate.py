"""Logs on which nothing, or little, can be fitted: refused with words, or served as what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from freshet import Recommender, inspect, pipeline
from freshet.core.errors import FreshetError
from freshet.report import write_report
from freshet.storage.durable import read_json
from freshet.storage.workspace import Workspace
from tests.pipeline.synthetic import FIRST, NOW, Row, base, write

LOG = base()


def within(days: float) -> list[Row]:
    return [(user, item, FIRST + (time - FIRST) * days / 60) for user, item, time in LOG]


def one_each() -> list[Row]:
    return list({row[0]: row for row in reversed(LOG)}.values())


def served(ws: Workspace, row: Row) -> list[str]:
    """Reasons of an answer to somebody who engaged an item lately."""
    with Recommender.open(ws.root) as shop:
        return [one.reason for one in shop.recommend(history=[row[1]], interests=3, items=0).interests]


@pytest.mark.parametrize(
    "rows", [within(0.9), [(u, i, FIRST) for u, i, _ in LOG]], ids=["one date", "one time"]
)
def test_a_log_of_one_day_is_served_by_popularity_and_says_so(tmp_path: Path, rows: list[Row]) -> None:
    ws = write(tmp_path / "ws", rows)
    pipeline.run(ws, NOW)
    state = inspect.status(ws, NOW.date())
    assert state.drives is not None
    assert state.drives.features == ()
    assert state.drives.verdict.startswith("nothing could be fitted: of 1,052 held-out transitions on 1 day")
    assert set(served(ws, rows[0])) <= {"unfitted", "explored"}
    assert "unfitted" in served(ws, rows[0])
    assert inspect.explain(ws, ["0"]).unfitted == state.drives.verdict
    page = write_report(ws, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Nothing could be fitted" in page
    assert "(0.00 to 0.00)" not in page


def test_its_ranking_is_that_of_popularity(tmp_path: Path) -> None:
    ws = write(tmp_path / "ws", [(u, "i0" if n % 2 else i, t) for n, (u, i, t) in enumerate(within(0.9))])
    pipeline.run(ws, NOW)
    with Recommender.open(ws.root) as shop:
        offers = shop.recommend(history=["i50"], interests=3, items=0).interests
    opened = inspect.open_release(ws)
    popular = opened.interests.descriptions[int(opened.table.look_up(()).successors[0])]
    assert set(popular.split()) < {"garden", "roses", "soil", "seeds"}  # the theme of i0
    assert offers[0].score > offers[1].score or offers[0].reason == "explored"


def test_users_with_one_event_have_nothing_that_follows(tmp_path: Path) -> None:
    rows = one_each()
    ws = write(tmp_path / "ws", rows)
    pipeline.run(ws, NOW)
    drives = inspect.status(ws, NOW.date()).drives
    assert drives is not None
    assert {drive.name for drive in drives.features}.isdisjoint({"last", "pair", "recent"})
    assert "nothing could be fitted for last, pair, recent" in drives.verdict
    assert "mixture" not in served(ws, rows[0])


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("u0", item, time) for _, item, time in LOG], "held-out transitions"),
        ([(user, "i3", time) for user, _, time in LOG], "interests need at least 2 engaged items"),
        (LOG[:1], "interests need at least 2 engaged items"),
        (LOG[::360], "held-out transitions"),
    ],
    ids=["one user", "one item", "one event", "eleven events"],
)
def test_too_little_is_refused_with_words(tmp_path: Path, rows: list[Row], told: str) -> None:
    ws = write(tmp_path / "ws", rows)
    with pytest.raises(FreshetError, match=told) as caught:
        pipeline.run(ws, NOW)
    assert caught.value.exit_code == 2
    assert caught.value.hint


@pytest.mark.parametrize(
    ("rows", "more"),
    [
        (within(1.9), {}),
        (LOG, {"interests": 3}),
        (LOG, {"interests": 2}),
        (LOG, {"no_text": True}),
        ([(u, f"i{int(i[1:]) % 12}", t) for u, i, t in LOG], {}),
    ],
    ids=["two days", "three interests", "two interests", "no text", "one theme"],
)
def test_small_worlds_are_fitted(tmp_path: Path, rows: list[Row], more: dict[str, Any]) -> None:
    ws = write(tmp_path / "ws", rows, **more)
    pipeline.run(ws, NOW)
    release = ws.releases.current()
    assert release is not None
    stored = read_json(ws.root / "tables" / release.table / "mixture.json")
    assert stored["unfitted"] == ""
    assert any(abs(one["weight"]) > 0.01 for one in stored["counts"].values())
    assert "unfitted" not in served(ws, rows[0])
