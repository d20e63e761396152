"""The queries of docs/explanation/replay.md run, and give the figures of the document."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from freshet.replay.figures import summarise
from tests.replay.synthetic import INTERESTS, frames

DOCS = Path(__file__).parents[3] / "docs" / "explanation" / "replay.md"
QUERIES = dict(re.findall(r"```sql\n-- ([\w ]+)\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL))


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    skill = {"hybrid": 0.33, "static": 0.3, "counts": 0.3, "popularity": 0.2}
    found = frames(skill, transitions=2000, decay=0.002)
    folder = tmp_path_factory.mktemp("replay")
    for name in ("judged", "states", "costs", "circumstances"):
        pq.write_table(getattr(found, name), folder / f"{name}.parquet")
    return folder, summarise(
        found.judged, found.states, found.costs, found.log, circumstances=found.circumstances, draws=400
    )


@pytest.fixture
def asked(document: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(document[0])
    return document[1]


def rows(name: str) -> list[dict[str, Any]]:
    with duckdb.connect() as db:
        found = db.execute(QUERIES[name])
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_figures(asked: dict[str, Any]) -> None:
    found = rows("figures")
    assert len(found) == 4
    for row in found:
        arm = asked["arms"][row["arm"]]
        for name in ("hit_at_1", "hit_at_5", "hit_any_at_5", "nll"):
            assert row[name] == pytest.approx(arm[name]["value"]), name
        assert row["table_age_days"] == pytest.approx(arm["table_age_days"])


def test_a_difference_and_its_interval_agree_with_resampling(asked: dict[str, Any]) -> None:
    (row,) = rows("difference")
    told = asked["differences"]["hybrid_vs_counts"]["hit_at_5"]
    assert row["value"] == pytest.approx(told["value"])
    assert row["half"] == pytest.approx((told["ci95"][1] - told["ci95"][0]) / 2, rel=0.15)


def test_by_day_and_length(asked: dict[str, Any]) -> None:
    days = {(row["arm"], str(row["day"])): row["hit_at_5"] for row in rows("by day")}
    for arm, told in asked["arms"].items():
        for line in told["by_day"]:
            assert days[arm, line["from"]] == pytest.approx(line["hit_at_5"]["value"])
    for row in rows("by length"):
        told = asked["arms"][row["arm"]]["by_length"][str(row["length"])]
        assert (row["hit_at_5"], row["nll"]) == pytest.approx(
            (told["hit_at_5"]["value"], told["nll"]["value"])
        )


def test_by_support(asked: dict[str, Any]) -> None:
    found = rows("by support")
    assert len(found) == 4 * 5
    for row in found:
        told = asked["arms"][row["arm"]]["by_support"][row["context"]]
        assert (row["n"], row["users"]) == (told["n"], told["users"])
        assert (row["hit_at_5"], row["nll"]) == pytest.approx(
            (told["hit_at_5"]["value"], told["nll"]["value"])
        )


def test_planner(asked: dict[str, Any]) -> None:
    found = rows("planner")
    assert {row["arm"] for row in found} == {"hybrid", "static"}
    for row in found:
        told = asked["arms"][row["arm"]]["planner"]
        assert row["n"] == told["n"]
        for name in ("hit_at_5", "nll", "bare_equal", "copies"):
            assert row[name] == pytest.approx(told[name]["value"]), name


def test_novelty(asked: dict[str, Any]) -> None:
    assert INTERESTS == 40  # the number in the query
    for row in rows("novelty"):
        told = asked["arms"][row["arm"]]
        for name in ("novelty", "coverage", "popularity_bias"):
            assert row[name] == pytest.approx(told[name]["value"]), name


def test_cost(asked: dict[str, Any]) -> None:
    for row in rows("cost"):
        told = asked["arms"][row["arm"]]["cost"]
        for name in ("tokens", "flops", "seconds", "money"):
            assert row[name] == pytest.approx(told[name]), name
        assert row["tuning_seconds"] == pytest.approx(told["tuning"]["seconds"])


def test_clock(asked: dict[str, Any]) -> None:
    assert rows("clock") == []


def test_every_key_of_an_arm_is_explained(asked: dict[str, Any]) -> None:
    explained = set(re.findall(r"`(\w+)`", DOCS.read_text(encoding="utf-8")))
    assert set(asked["arms"]["hybrid"]) - explained == set()
    assert set(asked["arms"]["hybrid"]["planner"]) - {"n"} - explained == set()
