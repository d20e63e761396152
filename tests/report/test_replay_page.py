"""The page of a replay: complete in itself, opens with the answer, says what the document says."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from freshet.replay.figures import summarise
from freshet.replay.figures.scarcity import Share
from freshet.report import replay_charts, replay_curves, replay_sources, replay_tables, write_replay
from tests.replay.synthetic import frames

from .test_workspace_page import Page

SKILL = {
    "hybrid": 0.3,
    "hybrid@10d": 0.3,
    "hybrid-adaptive": 0.3,
    "retrieval": 0.3,
    "retrieval-frozen": 0.3,
    "no-evidence": 0.3,
    "finetune": 0.3,
    "static": 0.3,
    "counts": 0.28,
    "popularity": 0.2,
}
CURVE = [
    {"days": 30.0, "jaccard": 0.1, "null": 0.14, "low": 0.12, "high": 0.16},
    {"days": 60.0, "jaccard": 0.08, "null": 0.14, "low": 0.12, "high": 0.16},
]
DRIFT = {"jaccard": 0.1, "null": 0.14, "z": -8.0, "n": 200, "from": "pair", "pair": {"decay": CURVE}}


def told(skill: dict[str, float], drift: dict[str, Any] | None = None, **world: Any) -> dict[str, Any]:
    found = frames(skill, **world)
    return summarise(found.judged, found.states, found.costs, found.log, drift, found.circumstances, draws=60)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return told(SKILL, DRIFT, transitions=1500, decay=0.004)


@pytest.fixture(scope="module")
def page(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(write_replay(document, tmp_path_factory.mktemp("page")).read_text(encoding="utf-8"))


def test_needs_nothing_but_itself(page: Page) -> None:
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "img", "iframe", "object", "base")]
    assert not re.search(r"@import|@font-face|url\((?!#)", page.source)
    for _, attributes in page.tags:
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]


def test_can_be_read_without_seeing_it(page: Page) -> None:
    charts = page.all("svg")
    assert len(charts) == 10
    assert all(chart["role"] == "img" and len(chart["aria-label"] or "") > 30 for chart in charts)
    assert len(page.all("caption")) == len(page.all("table"))
    ids = Counter(attributes["id"] for _, attributes in page.tags if attributes.get("id"))
    assert max(ids.values()) == 1
    assert {(link["href"] or "")[1:] for link in page.all("a")} <= set(ids)


def test_opens_with_the_answer_and_every_arm(document: dict[str, Any], page: Page) -> None:
    answer = document["recommendation"]
    opening = page.text[: page.text.index("The questions, one by one")]
    assert opening.index(answer["headline"]) < opening.index(answer["why"]) < opening.index("strategy")
    for arm, found in document["arms"].items():
        figure = replay_tables.share(found["hit_at_5"])
        assert f"{figure.value} {figure.interval}" in opening, arm
    assert "SIMULATED" in opening
    for one in answer["questions"]:
        assert one["answer"] in page.text


def test_the_papers_figures_stand_beside_ours_as_the_papers(document: dict[str, Any], page: Page) -> None:
    part = page.text[page.text.index("The paper's analyses, with this log beside them") :]
    for theirs in ("0.17", "7.8 %", "37.5 %"):
        assert theirs in part
    assert "0.100; 0.140 without drift (z = −8.0)" in part
    assert "its figures are its own, on its data" in part
    assert not [line for line in replay_tables.paper_lines(document) if line.ours == "–"]


def test_a_log_too_short_to_settle_it_says_so_first(tmp_path: Path) -> None:
    short = told({"hybrid": 0.33, "counts": 0.29, "static": 0.3}, transitions=60, users=20)
    text = Page(write_replay(short, tmp_path).read_text(encoding="utf-8")).text
    assert "The log is too short to settle it: hybrid may be better than counts by more than 0.5" in text


def test_counts_alone_make_a_page(tmp_path: Path) -> None:
    plain = told({"counts": 0.3, "counts@10d": 0.3, "popularity": 0.2}, transitions=800)
    text = Page(write_replay(plain, tmp_path).read_text(encoding="utf-8")).text
    assert "No strategy of this replay has a planner." in text
    assert "minus counts, points" in text
    assert "Refreshing every 10 days" in text[: text.index("The questions, one by one")]


def test_counts_and_the_first_day_open_with_whether_refreshing_pays(tmp_path: Path) -> None:
    plain = told({"counts": 0.3, "static": 0.25}, transitions=800)
    text = Page(write_replay(plain, tmp_path).read_text(encoding="utf-8")).text
    assert "Is refreshing counts alone worth it?" in text[: text.index("The questions, one by one")]


def test_where_each_source_pays_is_in_words_and_in_a_table_for_each_division(
    document: dict[str, Any], page: Page
) -> None:
    part = page.text[page.text.index("Where each source of knowledge pays", 1000) :]
    part = part[: part.index("hit@5 of the next novel interest")]
    for source in document["recommendation"]["groups"]["sources"]:
        assert source["text"] in part
    assert document["recommendation"]["groups"]["text"] in part
    for division, lines in document["groups"].items():
        for key, line in lines.items():
            assert line["words"] in part
            for pair in ("counts_vs_popularity", "hybrid_vs_counts"):
                found = document["differences"][pair][division][key]
                assert replay_tables.change(found["nll"]).interval in part
                assert replay_tables.points(found["hit_at_5"]).value in part
            assert f"{line['n']:,}" in part


def test_a_group_is_marked_where_it_holds_with_all_others(tmp_path: Path) -> None:
    skill = {"hybrid": 0.3, "counts": 0.3, "popularity": 0.3}
    found = told(skill, transitions=3000, users=800, cold={"hybrid": 0.8})
    [support, *_] = replay_sources.group_tables(found)
    [planner] = [place for place, pair in enumerate(support.pairs) if pair == "hybrid − counts"]
    marked = {row.name: row.cells[planner].sure for row in support.rows}
    assert [name for name, sure in marked.items() if sure == "better"] == ["contexts that nobody had been in"]
    assert 'class="n good"' in write_replay(found, tmp_path).read_text(encoding="utf-8")


def test_the_scarcity_curve_is_drawn_and_told(tmp_path: Path) -> None:
    skill = {"counts": 0.3, "content": 0.3, "popularity": 0.2}
    shares = [
        Share(percent, frames(skill | {"content": better}, transitions=2000).judged, users, 7 * users)
        for percent, better, users in ((1, 0.5, 40), (10, 0.36, 400), (100, 0.3, 4000))
    ]
    found = frames(skill, transitions=2000)
    document = summarise(found.judged, found.states, found.costs, found.log, shares=shares, draws=60)
    page = Page(write_replay(document, tmp_path).read_text(encoding="utf-8"))
    told = document["recommendation"]["shares"]
    assert "learned from 40 to 400 users it is worth +" in told["sources"][1]["text"]
    for source in told["sources"]:
        assert source["text"] in page.text
    assert told["text"] in page.text
    labels = [chart["aria-label"] or "" for chart in page.all("svg")]
    assert sum(label.startswith("What each source takes off nll") for label in labels) == 1
    table = replay_sources.share_table(document)
    assert table is not None
    assert [(row.name, row.sizes) for row in table.rows] == [
        ("1\u202f%", (40, 280)),
        ("10\u202f%", (400, 2800)),
        ("100\u202f%", (4000, 28_000)),
    ]
    assert table.rows[0].cells[1].sure == "better"
    assert len(page.all("caption")) == len(page.all("table"))


def test_without_sources_or_shares_the_section_is_left_out(tmp_path: Path) -> None:
    plain = told({"counts": 0.3, "static": 0.25}, transitions=800)
    text = Page(write_replay(plain, tmp_path).read_text(encoding="utf-8")).text
    assert "Where each source of knowledge pays" not in text


def test_names_from_the_log_are_escaped(tmp_path: Path) -> None:
    found = told({"counts": 0.3}, transitions=100)
    found["log"]["name"] = "<script>alert(1)</script>"
    assert "<script>" not in write_replay(found, tmp_path).read_text(encoding="utf-8")


def test_equal_documents_give_equal_bytes(document: dict[str, Any], tmp_path: Path) -> None:
    first = write_replay(document, tmp_path / "a.html").read_bytes()
    assert first == write_replay(document, tmp_path / "b.html").read_bytes()


def test_smoothing_weighs_by_transitions() -> None:
    def period(n: int, value: float) -> dict[str, Any]:
        return {"from": "2024-01-01", "n": n, "hit_at_5": {"value": value}}

    found = replay_curves.smoothed([period(1, 0.0), period(3, 1.0), period(1, 0.5)], 3)
    assert [line["hit_at_5"]["value"] for line in found] == pytest.approx([0.75, 0.7, 0.875])
    assert replay_curves.smoothed(found, 1) == found


def test_labels_stand_apart_and_stay_where_there_is_room() -> None:
    found = replay_charts.spread_labels([0.5, 0.1, 0.51], 0.1)
    assert found[1] == 0.1
    assert found[2] - found[0] == pytest.approx(0.1)
    assert (found[0] + found[2]) / 2 == pytest.approx(0.505)
    assert replay_charts.spread_labels([], 0.1) == []


def test_long_replays_name_years() -> None:
    long = told({"hybrid": 0.3, "static": 0.3}, transitions=600, days=900, every=30, tune=180)
    assert "2025" in (replay_curves.by_day(long, ("hybrid", "static")) or "")
