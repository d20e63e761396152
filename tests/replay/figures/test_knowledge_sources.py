"""What is said of where sources pay: right where it is so, and nothing where all is noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from freshet.replay.figures import summarise
from freshet.replay.figures.intervals import Resampled, estimate, jointly, ratio
from freshet.replay.figures.knowledge_sources import FEWEST, sources
from tests.replay.synthetic import frames

SAME = {"hybrid": 0.3, "counts": 0.3, "popularity": 0.3}


def told(skill: dict[str, float], draws: int = 300, **world: Any) -> dict[str, Any]:
    found = frames(skill, **({"transitions": 8000, "users": 1500} | world))
    document = summarise(
        found.judged, found.states, found.costs, found.log, circumstances=found.circumstances, draws=draws
    )
    return {one["name"]: one for one in document["recommendation"]["groups"]["sources"]} | {
        "all": document["recommendation"]
    }


def claims(source: dict[str, Any]) -> dict[str, str]:
    return {line["group"]: line["shown"] for line in source["groups"] if line["shown"]}


def test_a_planner_that_pays_in_cold_contexts_alone_is_found_there_alone() -> None:
    found = told(SAME, cold={"hybrid": 0.6})
    by_support = {
        line["group"]: line["shown"]
        for line in found["planner"]["groups"]
        if line["division"] == "by_support"
    }
    assert by_support == {"no-context": "", "0": "better", "1-9": "", "10-99": "", "100+": ""}
    assert claims(found["counts"]) == {}
    text = found["planner"]["text"]
    assert text.startswith("The planner on top of plain counts: probabilities are better in ")
    assert "among contexts that nobody had been in (−0." in text
    line = next(line for line in found["planner"]["groups"] if line["group"] == "0")
    assert f"{line['n']:,} transitions of {line['users']:,} people" in text
    assert text in found["all"]["text"]
    assert found["all"]["groups"]["text"] in found["all"]["text"]


def test_a_source_that_hurts_somewhere_is_said_to() -> None:
    found = told(SAME, cold={"counts": -0.6})["counts"]
    assert claims(found)["0"] == "worse"
    assert "probabilities are worse in " in found["text"]


def test_one_that_helps_here_and_hurts_there_is_said_to_do_both() -> None:
    found = told(SAME | {"hybrid": 0.36}, cold={"hybrid": -0.8})["planner"]
    assert claims(found)["0"] == "worse"
    assert claims(found)["1-9"] == "better"
    assert "better in" in found["text"]
    assert "; worse in " in found["text"]


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_claimed_where_all_is_noise(seed: int) -> None:
    found = told(SAME, seed=seed, transitions=4000)
    for name in ("counts", "planner"):
        assert claims(found[name]) == {}
        assert "no difference can be shown in any of" in found[name]["text"]


def test_of_many_worlds_of_noise_few_have_a_claim() -> None:
    """Heavy tails, people alike in themselves, some with many transitions: intervals of 95 % each would claim
    something in two worlds of five."""
    rng = np.random.default_rng(1)
    worlds, jointly_wrong, singly_wrong = 60, 0, 0
    for seed in range(worlds):
        per_user = np.minimum(rng.zipf(1.8, 1200), 60)
        user = np.repeat(np.arange(1200), per_user)
        difference = rng.standard_t(3, len(user)) * 0.3 + rng.normal(0, 0.2, 1200)[user]
        resampled = Resampled(np.r_[0, np.cumsum(per_user)[:-1]], len(user), 400, seed)
        groups = []
        for many in (5, 4, 4):
            place = rng.integers(many, size=len(user))
            total = resampled.by_group(np.ones(len(user)), place, many)
            groups += list(ratio(resampled.by_group(difference, place, many), total).T)
        jointly_wrong += any(outside(jointly(drawn, len(groups))) for drawn in groups)
        singly_wrong += any(outside(estimate(drawn)) for drawn in groups)
    assert jointly_wrong <= 8  # 3 are expected, more than 8 once in 250
    assert singly_wrong > worlds / 4


def outside(estimated: dict[str, Any]) -> bool:
    """Whether an interval leaves zero out."""
    low, high = estimated["ci95"]
    return low > 0 or high < 0


def test_of_few_people_nothing_is_said() -> None:
    found = told(SAME, transitions=400, users=FEWEST - 1, cold={"hybrid": 3.0})
    assert found["planner"]["groups"] == []
    assert found["planner"]["text"] == ""
    assert "What is said of groups" not in found["all"]["text"]


def test_joint_intervals_widen_with_the_number_of_comparisons() -> None:
    drawn = np.r_[1.0, np.random.default_rng(0).normal(1, 0.1, 4000)]
    one, many = jointly(drawn, 1), jointly(drawn, 40)
    assert one["ci95"] == pytest.approx(estimate(drawn)["ci95"], abs=0.01)
    assert many["ci95"] == pytest.approx([1 - 0.1 * 3.227, 1 + 0.1 * 3.227], abs=0.02)
    assert jointly(np.r_[np.nan, drawn], 3) == {"value": None, "ci95": None}


def test_sources_are_judged_by_arms_that_differ_by_them_alone() -> None:
    arms = ("hybrid", "counts", "counts-sequence", "content", "content-sequence", "popularity")
    pairs = {source.name: source.pair for source in sources(arms, {})}
    assert pairs == {
        "counts": "counts_vs_popularity",
        "content": "content_vs_counts",
        "sequence": "counts-sequence_vs_counts",
        "content beside the sequence score": "content-sequence_vs_counts-sequence",
        "planner": "hybrid_vs_counts",
    }
    for log, other in (
        ({"mixed": True}, "counts-sequence"),
        ({"content": True}, "content"),
        ({"mixed": True, "content": True}, "content-sequence"),
    ):
        assert sources(arms, log)[-1].pair == f"hybrid_vs_{other}"
    assert [source.name for source in sources(("counts", "popularity"), {})] == ["counts"]
