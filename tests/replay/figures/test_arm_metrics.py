"""Figures of frames: exact where they can be computed by hand, blind to order, honest about what is missing."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from freshet.core.errors import ArtifactError, NotEnoughData
from freshet.replay.figures import summarise
from freshet.replay.figures.aligned import align
from freshet.replay.figures.over_time import overlap
from freshet.replay.frames import COSTS, JUDGED, STATES
from tests.replay.synthetic import Frames, frames

DRAWS = 50


def tiny() -> Frames:
    """Two arms, three transitions of two people, two interests of four taken up; every figure by hand."""

    def line(
        arm: str, row: int, user: int, length: int, successor: int, rank: int, top: list[int], **more: object
    ):
        return {
            "arm": arm,
            "origin": date(2024, 1, 1),
            "made": date(2024, 1, 1) if arm == "hybrid" else date(2023, 12, 1),
            "row": row,
            "user": user,
            "day": date(2024, 1, 1 + row),
            "length": length,
            "recent": [],
            "successor": successor,
            "candidates": 4,
            "rank": rank,
            "nll": float(rank + 1),
            "rank_any": max(rank - 1, 0),
            "top": top,
            "p_top": 0.5,
            **{"planner_rank": None, "planner_nll": None, "planner_top1": None},
            **{"evidence_top1": None, "bare_top1": None},
            **more,
        }

    asked = {"planner_rank": 0, "planner_nll": 0.5, "planner_top1": 0, "evidence_top1": 0, "bare_top1": 1}
    judged = [
        line("hybrid", 0, 7, 0, 0, 0, [0, 1, 2, 3], **asked),
        line("hybrid", 1, 7, 2, 0, 0, [0, 1, 2, 3], **{**asked, "planner_rank": 6, "bare_top1": 0}),
        line("hybrid", 2, 9, 1, 1, 6, [0, 2, 3]),
        line("static", 0, 7, 0, 0, 5, [1, 2, 3]),
        line("static", 1, 7, 2, 0, 0, [0, 1, 2, 3]),
        line("static", 2, 9, 1, 1, 12, [0, 2, 3]),
    ]
    return Frames(
        pa.Table.from_pylist(judged, JUDGED),
        pa.Table.from_pylist([], STATES),
        pa.Table.from_pylist([], COSTS),
        {"interests": 4, "from": "2024-01-01", "to": "2024-01-04", "every_days": 3, "tune_days": 30},
    )


def told(found: Frames, **more: object) -> dict:
    return summarise(found.judged, found.states, found.costs, found.log, **{"draws": DRAWS, **more})


def test_every_figure_by_hand() -> None:
    document = told(tiny())
    hybrid, static = document["arms"]["hybrid"], document["arms"]["static"]
    assert hybrid["hit_at_1"]["value"] == pytest.approx(2 / 3)
    assert hybrid["hit_at_5"]["value"] == pytest.approx(2 / 3)
    assert hybrid["hit_at_10"]["value"] == 1
    assert static["hit_at_5"]["value"] == pytest.approx(1 / 3)
    assert static["hit_any_at_5"]["value"] == pytest.approx(
        2 / 3
    )  # rank 5 is rank 4 of any within the horizon
    assert hybrid["nll"]["value"] == pytest.approx((1 + 1 + 7) / 3)
    # p_top is 0.5 everywhere: one bin, 2 of 3 right
    assert hybrid["ece"]["value"] == pytest.approx(2 / 3 - 0.5)
    assert hybrid["reliability"] == [{"n": 3, "said": 0.5, "right": pytest.approx(2 / 3)}]
    # take-ups 2, 1, 0, 0 with half a one added each: shares 2.5, 1.5, 0.5, 0.5 of 5
    share = np.array([0.5, 0.3, 0.1, 0.1])
    shown = [0, 1, 2, 3, 0, 1, 2, 3, 0, 2, 3]
    assert hybrid["novelty"]["value"] == pytest.approx(-np.log2(share[shown]).mean())
    assert hybrid["popularity_bias"]["value"] == pytest.approx(share[shown].mean() / share[[0, 0, 1]].mean())
    exposure = np.array([3, 2, 3, 3]) / 11
    assert hybrid["entropy"]["value"] == pytest.approx(-(exposure * np.log2(exposure)).sum())
    assert hybrid["coverage"]["value"] == 1
    assert [hybrid["by_length"][k]["hit_at_5"]["value"] for k in "012"] == [1, 0, 1]
    assert hybrid["planner"]["n"] == 2
    assert hybrid["planner"]["hit_at_5"]["value"] == 0.5
    assert hybrid["planner"]["bare_equal"]["value"] == 0.5
    assert hybrid["planner"]["copies"]["value"] == 1
    assert static["planner"] is None
    assert document["log"]["n"] == 3
    assert document["log"]["users"] == 2
    assert hybrid["table_age_days"] == pytest.approx(1)
    difference = document["differences"]["hybrid_vs_static"]
    assert difference["hit_at_5"]["value"] == pytest.approx(1 / 3)
    assert difference["nll"]["value"] == pytest.approx((0 + 0 + 7 - 5 - 0 - 13 + 1 + 1 - 1 - 1) / 3)
    assert [line["overlap"]["value"] for line in document["decay"]["static"]] == pytest.approx([0.75, 1])


def test_the_order_of_rows_changes_nothing() -> None:
    found = frames({"hybrid": 0.3, "counts": 0.25}, transitions=400, users=60)
    order = np.random.default_rng(1).permutation(len(found.judged))
    mixed = Frames(found.judged.take(pa.array(order)), found.states, found.costs, found.log)
    assert json.dumps(told(mixed)) == json.dumps(told(found))


def test_an_arm_differs_from_its_double_by_exactly_nothing() -> None:
    found = frames({"hybrid": 0.3}, transitions=3000, users=700)
    double = found.judged.set_column(0, "arm", pa.array(["counts"] * len(found.judged)))
    both = Frames(pa.concat_tables([found.judged, double]), found.states, found.costs, found.log)
    difference = told(both)["differences"]["hybrid_vs_counts"]
    for name in ("hit_at_1", "hit_at_5", "hit_at_10", "hit_any_at_5", "nll"):
        assert difference[name] == {"value": 0.0, "ci95": [0.0, 0.0]}
    assert difference["verdict"] == {"hit_at_5": "same", "nll": "same"}


def test_paired_differences_are_sharper_than_the_figures() -> None:
    document = told(frames({"hybrid": 0.30, "counts": 0.28}, transitions=3000), draws=300)
    low, high = document["differences"]["hybrid_vs_counts"]["hit_at_5"]["ci95"]
    own = document["arms"]["hybrid"]["hit_at_5"]["ci95"]
    assert 0 < low < 0.02 < high
    assert high - low < (own[1] - own[0]) / 2


def test_days_and_ages_hold_every_transition_once() -> None:
    document = told(frames({"hybrid": 0.3, "static": 0.3}, decay=0.005))
    for arm in document["arms"].values():
        assert sum(line["n"] for line in arm["by_day"]) == document["log"]["n"]
        assert sum(line["n"] for line in arm["by_age"]) == document["log"]["n"]
    static = document["decay"]["static"]
    assert static[0]["age"] == 0
    assert len(static) == 10
    assert static[-1]["hit_at_5"]["value"] < static[0]["hit_at_5"]["value"]


def test_a_long_replay_is_told_in_periods_of_whole_refreshes() -> None:
    document = told(frames({"hybrid": 0.3}, days=900, every=30, tune=180))
    assert document["log"]["period_days"] == 30
    assert len(document["arms"]["hybrid"]["by_day"]) == 30


def test_overlap_of_lists() -> None:
    a = np.array([[0, 1, -1], [0, 1, 2], [-1, -1, -1]])
    b = np.array([[1, 2, -1], [2, 1, 0], [-1, -1, -1]])
    assert overlap(a, b).tolist() == [pytest.approx(1 / 3), 1, 1]


def test_the_document_is_json_with_the_promised_keys() -> None:
    document = told(
        frames({"hybrid": 0.3, "static": 0.2, "counts": 0.3}),
        drift={"jaccard": 0.1, "null": 0.2, "z": -3.0, "n": 9},
    )
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    for arm in document["arms"].values():
        for name in ("hit_at_1", "hit_at_5", "nll", "novelty", "coverage"):
            assert set(arm[name]) == {"value", "ci95"}
        assert {"tokens", "flops", "seconds", "money"} <= set(arm["cost"])
    assert set(document["drift"]) >= {"jaccard", "null", "z", "n"}
    assert {"weights", "recommendation", "differences", "schema"} <= set(document)
    assert set(document["weights"]) == {"hybrid", "static"}
    assert document["arms"]["static"]["model_age_days"] > document["arms"]["hybrid"]["model_age_days"]


def test_arms_must_judge_the_same_transitions() -> None:
    found = frames({"hybrid": 0.3, "counts": 0.3}, transitions=50)
    with pytest.raises(ArtifactError, match="arm counts has 49 transitions, not the same 50 as hybrid"):
        align(found.judged.slice(0, 99), 40)


def test_an_empty_replay_says_so() -> None:
    with pytest.raises(NotEnoughData, match="judged no transition"):
        align(JUDGED.empty_table(), 40)
