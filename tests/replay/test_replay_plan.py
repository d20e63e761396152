"""Which origins and arms a replay goes through."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest

from freshet.core.errors import ConfigError, NotEnoughData
from freshet.core.types import AsOf
from freshet.replay import Able, Plan, make_plan

DAYS = [date(2024, 1, 1) + timedelta(days=i) for i in range(100)]


def plan(**chosen: object) -> Plan:
    given = {"able": Able(True), "refresh_days": 3, "tune_every": 28} | chosen
    return make_plan(DAYS, **given)  # type: ignore[arg-type]


def test_the_last_quarter_is_replayed_at_the_workspace_s_cadence() -> None:
    found = plan()
    assert str(found.end) == "2024-04-10"  # the midnight after the last day
    assert (found.end.day - found.start.day).days == 25
    assert [str(at) for at in found.origins][:2] == ["2024-03-16", "2024-03-19"]
    assert found.until(found.origins[-1]) == found.end


def test_windows_cover_the_period_once() -> None:
    found = plan(start=AsOf.parse("2024-02-01"), every=4)
    edges = [(at, found.until(at)) for at in found.origins]
    assert edges[0][0] == found.start
    assert edges[-1][1] == found.end
    assert all(before[1] == after[0] for before, after in pairwise(edges))


def test_a_long_period_gets_a_cadence_that_ends() -> None:
    long = [date(2000, 1, 1) + timedelta(days=i) for i in range(4000)]
    found = make_plan(long, able=Able(True), refresh_days=1, tune_every=28)
    assert len(found.origins) <= 60


def test_slower_hybrids_come_along() -> None:
    names = [arm.name for arm in plan(start=AsOf.parse("2024-02-01"), every=2).arms]
    assert [name for name in names if "@" in name] == [
        "hybrid@6d",
        "hybrid@14d",
        "hybrid@28d",
        "hybrid@combined",
    ]
    assert names[0] == "static"


def test_without_a_planner_only_counts_and_baselines_are_compared() -> None:
    names = [arm.name for arm in plan(able=Able(False), every=2, start=AsOf.parse("2024-02-01")).arms]
    assert {"static", "counts", "popularity", "counts@28d", "counts@combined"} <= set(names)
    assert not any("hybrid" in name or "retrieval" in name for name in names)
    with pytest.raises(ConfigError, match="needs a planner"):
        plan(able=Able(False), arms=["hybrid"])


def test_an_arm_may_be_refreshed_by_a_policy() -> None:
    found = {arm.name: arm for arm in plan(arms=["counts@drift", "counts@cost", "counts@combined"]).arms}
    assert [arm.refreshed for arm in found.values()] == ["drift", "cost", "combined"]
    assert {arm.scores for arm in found.values()} == {"counts"}
    assert found["counts@cost"].days is None
    for wrong in ("counts@weather", "counts@0d", "counts@fixed"):
        with pytest.raises(ConfigError, match="no arm"):
            plan(arms=[wrong])


def test_an_unknown_arm_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no arm 'hybird'") as told:
        plan(arms=["hybird"])
    assert "retrieval-frozen" in told.value.hint


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"start": AsOf.parse("2024-01-01")}, "does not fit"),
        ({"start": AsOf.parse("2024-06-01")}, "does not fit"),
        ({"end": AsOf.parse("2024-06-01")}, "ends before 2024-04-10"),
        ({"start": AsOf.parse("2024-03-01"), "end": AsOf.parse("2024-03-01")}, "does not fit"),
    ],
)
def test_a_period_outside_the_log_is_refused(chosen: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        plan(**chosen)


def test_a_log_of_a_week_can_t_be_replayed() -> None:
    with pytest.raises(NotEnoughData, match="too short"):
        make_plan(DAYS[:7], able=Able(True), refresh_days=1, tune_every=7)


def test_a_cadence_between_origins_is_refused() -> None:
    with pytest.raises(ConfigError, match="hybrid@5d"):
        plan(arms=["hybrid@5d"], every=2, start=AsOf.parse("2024-02-01"))


def test_what_the_hybrid_owes_to_its_planner_can_be_told() -> None:
    for mixes, content, twin in (
        (True, False, ["counts-sequence"]),
        (False, True, ["content"]),
        (True, True, ["content-sequence"]),
        (False, False, []),
    ):
        able = Able(True, mixes=mixes, content=content)
        found = plan(able=able, arms=["static", "hybrid", "counts"])
        assert [arm.name for arm in found.arms] == ["static", "hybrid", "counts", *twin]


def test_arms_of_evidence_need_a_planner_that_was_trained_with_it() -> None:
    without = Able(True, evidence=False)
    names = [arm.name for arm in plan(able=without).arms]
    assert "no-evidence" in names
    assert not {"retrieval", "retrieval-frozen", "evidence-frozen", "retrieval-alone"} & set(names)
    with pytest.raises(ConfigError, match="level"):
        plan(able=without, arms=["retrieval"])
