"""Every verdict on worlds in which it is right."""

from __future__ import annotations

import pytest

from freshet.core.config import PlannerConfig
from freshet.replay.figures import recommendation, summarise
from freshet.replay.figures.comparisons import negated, not_below, verdict
from freshet.replay.figures.recommendation import drift_sentence
from tests.replay.synthetic import frames


def told(skill: dict[str, float], **world: object) -> dict:
    found = frames(skill, **world)
    return summarise(found.judged, found.states, found.costs, found.log, draws=200)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ([0.001, 0.02], "better"),
        ([-0.02, -0.001], "worse"),
        ([-0.004, 0.004], "same"),
        ([0.0, 0.0], "same"),
        ([-0.02, 0.004], "unclear"),
        ([-0.004, 0.02], "unclear"),
    ],
)
def test_verdicts_follow_the_interval(bounds: list[float], expected: str) -> None:
    assert verdict({"value": sum(bounds) / 2, "ci95": bounds}, 0.005) == expected


def test_few_people_cannot_show_that_there_is_no_difference() -> None:
    none = {"value": 0.0, "ci95": [0.0, 0.0]}
    assert verdict(none, 0.005, users=599) == "unclear"
    assert verdict(none, 0.005, users=600) == "same"
    assert not not_below(none, 0.005, users=599)


def test_nothing_measured_is_unclear() -> None:
    nothing = {"value": None, "ci95": None}
    assert verdict(nothing, 0.005) == "unclear"
    assert not not_below(nothing, 0.005)
    assert negated(nothing) == nothing


def test_a_planner_that_is_better_is_recommended_with_its_cadence() -> None:
    found = told({"hybrid": 0.34, "static": 0.25, "counts": 0.28, "popularity": 0.2})["recommendation"]
    assert (found["arm"], found["every_days"], found["tune_days"]) == ("hybrid", 2, 10)
    assert found["headline"] == "Refresh the table every 2 days and tune the model every 10 days."
    assert "Refreshing is worth it (hit@5 of hybrid minus static: +" in found["text"]
    assert "The planner beats plain counts" in found["text"]
    assert found["shown"]


def test_counts_win_where_the_planner_adds_nothing() -> None:
    found = told({"hybrid": 0.3, "static": 0.2, "counts": 0.3}, transitions=20000, users=4000)[
        "recommendation"
    ]
    assert found["arm"] == "counts"
    assert "the planner was not shown to be worth its cost" in found["headline"]
    assert "Counts win here: the planner adds nothing that matters" in found["text"]
    assert found["shown"]


def test_counts_win_where_the_planner_harms() -> None:
    found = told({"hybrid": 0.25, "counts": 0.3})["recommendation"]
    assert found["arm"] == found["best"] == "counts"
    assert "Counts win here: the planner makes the ranking worse" in found["text"]


def test_on_few_transitions_no_difference_can_be_shown_and_it_says_what_would() -> None:
    found = told({"hybrid": 0.33, "counts": 0.29, "static": 0.3}, transitions=60, users=20)["recommendation"]
    assert not found["shown"]
    assert f"No difference to {found['rival']} can be shown on so few transitions" in found["text"]
    assert found["needed"] > 60
    assert f"about {found['needed']:,} transitions would tell" in found["text"]
    assert (
        "can't be told from this log" in found["text"]
        or "no gain by the planner can be shown" in found["text"]
    )


def test_nothing_needs_refreshing_in_a_world_that_stands_still() -> None:
    found = told(
        {"hybrid": 0.3, "static": 0.3, "finetune": 0.3, "retrieval": 0.3}, transitions=20000, users=4000
    )
    recommendation = found["recommendation"]
    assert recommendation["arm"] == "static"
    assert recommendation["headline"].startswith("Leave it as it is")
    assert "Refreshing makes no difference that matters" in recommendation["text"]
    assert recommendation["every_days"] is None


def test_a_slower_cadence_that_keeps_up_is_named_and_chosen() -> None:
    found = told({"hybrid": 0.3, "hybrid@6d": 0.3, "static": 0.2}, transitions=20000, users=4000)
    recommendation = found["recommendation"]
    assert "Refreshing every 6 days instead of every 2 days: " in recommendation["text"]
    assert "in hit@5, which is enough." in recommendation["text"]
    assert recommendation["arm"] == "hybrid@6d"
    assert recommendation["every_days"] == pytest.approx(6)
    against = found["cost"]
    assert against["against_finetuning"] is None  # finetune was not replayed


def test_one_tuning_is_enough_where_tuning_again_brings_nothing() -> None:
    skill = {"hybrid": 0.3, "retrieval": 0.3, "finetune": 0.25, "static": 0.2, "counts": 0.25}
    assert told(skill, transitions=20000, users=4000)["recommendation"]["arm"] == "retrieval"
    skill |= {"finetune-fresh": 0.3, "no-evidence": 0.3}  # these two differ in the tuning alone
    found = told(skill, transitions=20000, users=4000)
    assert "one tuning is enough" in found["recommendation"]["text"]
    costs = found["cost"]["against_finetuning"]
    assert costs["finetune_that_keeps_up"] is None
    assert costs["hybrid_that_keeps_up"]["arm"] == "hybrid"
    assert costs["retuning_at_every_refresh"]["computed"]
    assert costs["retuning_at_every_refresh"]["tunings"] == 15
    assert 0 < costs["retuning_at_every_refresh"]["ratio"]["money"] < 1


def test_without_a_planner_counts_are_the_reference() -> None:
    skill = {"counts": 0.3, "counts@10d": 0.22, "static": 0.2, "popularity": 0.2}
    found = told(skill, transitions=6000, users=900)
    assert found["reference"] == "counts"
    assert found["recommendation"]["arm"] == "counts"
    assert "Refreshing counts alone beats the first day's table" in found["recommendation"]["text"]
    assert "in hit@5, which is a loss." in found["recommendation"]["text"]
    assert {"counts_vs_static", "counts_vs_counts@10d"} <= set(found["differences"])


def test_popularity_may_be_enough() -> None:
    found = told({"hybrid": 0.2, "counts": 0.2, "popularity": 0.25})["recommendation"]
    assert found["arm"] == "popularity"
    assert "popular of late" in found["headline"]


def test_sequence_scores_are_asked_about() -> None:
    skill = {"hybrid": 0.2, "counts": 0.2, "sequence": 0.25, "counts-sequence": 0.26, "hybrid-sequence": 0.35}
    found = told(skill)["recommendation"]
    assert found["arm"] == "hybrid-sequence"
    assert "With the sequence score in the mixture the planner still adds to it" in found["text"]
    assert "A sequence model beats the hybrid" in found["text"]


def test_the_planner_is_judged_by_arms_that_differ_in_nothing_else() -> None:
    skill = {"hybrid": 0.3, "hybrid-plain": 0.2, "counts": 0.25, "counts-sequence": 0.28, "sequence": 0.2}
    found = frames(skill)
    mixed = summarise(found.judged, found.states, found.costs, {**found.log, "mixed": True}, draws=50)
    pairs = {one["name"]: one["difference"] for one in mixed["recommendation"]["questions"]}
    assert pairs["planner"] == "hybrid-plain_vs_counts"
    assert pairs["planner beside a sequence model"] == "hybrid_vs_counts-sequence"


def test_drift_is_said_beside_its_null() -> None:
    assert "by more than chance" in drift_sentence({"jaccard": 0.09, "null": 0.14, "z": -8.0, "n": 100})
    assert "no more than chance" in drift_sentence({"jaccard": 0.163, "null": 0.163, "z": 0.0, "n": 100})
    assert "too short or too thin" in drift_sentence({"jaccard": None, "null": None, "z": None, "n": 0})


@pytest.mark.parametrize(
    ("config", "called"),
    [
        ({}, "the small label transformer"),
        ({"kind": "scratch", "mode": "description"}, "the small description transformer"),
        ({"kind": "transformers", "model": "Qwen/Qwen3-0.6B"}, "the language model Qwen/Qwen3-0.6B"),
    ],
)
def test_the_planner_is_called_what_it_is(config: dict, called: str) -> None:
    assert PlannerConfig.model_validate(config).called == called
    found = frames({"hybrid": 0.25, "counts": 0.3, "counts-sequence": 0.25, "hybrid-sequence": 0.25})
    document = summarise(found.judged, found.states, found.costs, {**found.log, "planner": called}, draws=50)
    recommended = document["recommendation"]
    assert recommended["headline"].endswith(f": {called} was not shown to be worth its cost.")
    assert f"Counts win here: {called} makes the ranking worse" in recommended["text"]
    assert f"Does {called} beat plain counts?" in [one["question"] for one in recommended["questions"]]
    assert "LLM" not in recommended["text"]


def test_live_signals_without_a_gain_by_the_planner_are_advised_without_the_planner() -> None:
    pair = {"verdict": {"hit_at_5": "same", "nll": "same"}}
    assert not recommendation._adds({"hybrid_vs_counts-sequence": pair}, {"mixed": True})
    assert not recommendation._adds({"hybrid_vs_counts": pair}, {})
    better = {"verdict": {"hit_at_5": "same", "nll": "better"}}
    assert recommendation._adds({"hybrid_vs_counts-sequence": better}, {"mixed": True})
    assert recommendation._adds({}, {"mixed": True})  # not compared: nothing is said against it
