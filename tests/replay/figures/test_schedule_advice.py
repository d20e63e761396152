"""The recommended schedule on SIMULATED frames in which the right one is known."""

from __future__ import annotations

import pytest

from freshet.core.config import parse
from freshet.replay.figures.schedule_advice import cadence, choose, schedule
from tests.replay.synthetic import frames

MANY = {"transitions": 12000, "users": 3000}


def told(skill: dict[str, float], **world: object) -> dict:
    found = frames(skill, **world)
    return schedule(found.judged, found.states, found.costs, found.log, draws=200)


def line(arm: str, keeps_up: bool, verdict: str) -> dict:
    return {"arm": arm, "keeps_up": keeps_up, "verdict": verdict}


def test_a_cheaper_schedule_that_keeps_up_is_chosen() -> None:
    found = told({"hybrid": 0.3, "hybrid@10d": 0.3, "finetune": 0.2, "counts": 0.2}, **MANY)
    assert found["ruling"] == "shown"
    assert found["headline"] == "Refresh the table every 10 days and tune the model every 10 days."
    assert {key: found["schedule"][key] for key in ("arm", "policy", "refresh_days", "tune_days")} == {
        "arm": "hybrid@10d", "policy": "fixed", "refresh_days": 10, "tune_days": 10
    }  # fmt: skip
    assert not found["counts"]["as_good"]
    assert "Plain counts are worse" in " ".join(found["text"])


def test_a_cheaper_schedule_that_is_worse_is_not_chosen() -> None:
    found = told({"hybrid": 0.3, "hybrid@10d": 0.2, "counts": 0.3}, **MANY)
    assert (found["schedule"]["arm"], found["ruling"]) == ("hybrid", "freshest")
    assert "hybrid@10d" in found["text"][2]
    assert "Plain counts, without the planner, are as good" in found["text"][-1]


def test_where_nothing_can_be_told_the_cheapest_is_recommended() -> None:
    found = told({"hybrid": 0.3, "hybrid@10d": 0.3}, transitions=300, users=100)
    assert (found["schedule"]["arm"], found["ruling"]) == ("hybrid@10d", "untold")
    assert "No schedule can be told from another on 300 transitions" in found["text"][2]


def test_of_the_same_cost_the_better_comes_first() -> None:
    found = told({"counts": 0.3, "counts@2d": 0.31}, **MANY)
    assert [one["arm"] for one in found["schedules"]] == ["counts@2d", "counts"]
    assert found["schedule"]["arm"] == "counts@2d"
    assert found["counts"] is None


def test_refreshes_tunings_ages_and_costs_are_those_of_the_frames() -> None:
    found = told({"hybrid": 0.3, "hybrid@10d": 0.3})
    often = next(one for one in found["schedules"] if one["arm"] == "hybrid")
    seldom = next(one for one in found["schedules"] if one["arm"] == "hybrid@10d")
    assert (often["refreshes"], often["tunings"], seldom["refreshes"]) == (15, 3, 3)
    assert often["table_age_days"] == pytest.approx(0.5, abs=0.1)
    assert often["cost"]["tuning"]["seconds"] == pytest.approx(180)  # 3 tunings of 60 s in 30 days
    assert often["cost"]["refreshing"]["seconds"] == pytest.approx(16 + 14 * 2 + 15 * 0.5)
    assert often["difference"]["value"] == 0


@pytest.mark.parametrize(
    ("lines", "chosen", "ruling"),
    [
        ([line("slow", False, "unclear"), line("mid", True, "same"), line("hybrid", True, "same")], "mid", "shown"),
        ([line("slow", True, "worse"), line("hybrid", True, "same")], "slow", "shown"),
        ([line("hybrid", True, "same"), line("slow", False, "unclear")], "hybrid", "shown"),
        ([line("slow", False, "unclear"), line("hybrid", True, "same")], "slow", "untold"),
        ([line("slow", False, "worse"), line("mid", False, "unclear"), line("hybrid", True, "same")], "hybrid", "freshest"),
    ],
)  # fmt: skip
def test_the_rule(lines: list[dict], chosen: str, ruling: str) -> None:
    found, why = choose(lines, "hybrid")
    assert (found["arm"], why) == (chosen, ruling)


@pytest.mark.parametrize(
    ("arm", "policy", "refresh", "tune"),
    [
        ("hybrid@14d", "fixed", 14, 28),
        ("hybrid-adaptive", "drift", 2, 28),
        ("hybrid-cost", "cost", 2, 28),
        ("hybrid@combined", "combined", 2, 28),
        ("counts@drift", "drift", 2, None),
        ("finetune", "fixed", 28, 28),
        ("counts", "fixed", 2, None),
        ("static", "fixed", 90, None),
    ],
)
def test_an_arm_as_lines_of_the_configuration(arm: str, policy: str, refresh: int, tune: int | None) -> None:
    from freshet.replay.figures.schedule_text import settings

    found = cadence(arm, {"every_days": 2, "tune_days": 28, "days": 90})
    config = parse(settings(found), "lines")
    assert (config.schedule.policy, config.schedule.refresh_days) == (policy, refresh)
    assert found["tune_days"] == tune
    assert (config.evidence.level == "none") == (arm == "finetune")
