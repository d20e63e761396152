"""Replays in which arms learn from a share of the users: the same people are judged, whatever was learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from freshet.core.types import AsOf, Learners
from freshet.pipeline import snapshot_of
from freshet.replay import Able, Plan, roll
from freshet.replay.frames import Results
from freshet.replay.learned_from import learned_over
from freshet.replay.replay_plan import BY_SOURCE, by_source
from freshet.stages.transitions.step import learned_by
from freshet.storage.artifacts import Artifact
from freshet.storage.workspace import Workspace
from freshet.wiring import open_sandbox
from tests.replay.test_rolling_origin import START, by_arm, made, planned, standings

pytestmark = pytest.mark.slow

END = AsOf.parse("2024-02-11")
COUNTED = ["counts", "content", "static", "counts-live", "popularity", "popularity-live", "last-successor"]
ARMS = ["hybrid", "retrieval", *COUNTED]
FEW, SOME = 2.0, 40.0
"""Per cent of 160 users: too few to fit weights, and enough."""
SHARED = ["origin", "row", "user", "day", "length", "recent", "successor", "candidates"]


@pytest.fixture(scope="module")
def room(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Plan]:
    ws = made(world, tmp_path_factory.mktemp("shares"))
    return open_sandbox(ws, START), planned(ws, end=END, arms=ARMS)


@pytest.fixture(scope="module")
def origins(room: tuple[Workspace, Plan]) -> dict[float, list[Artifact]]:
    sandbox, plan = room
    return {percent: roll(sandbox, plan.learned_by(percent)) for percent in (FEW, SOME, 100)}


@pytest.fixture(scope="module")
def results(origins: dict[float, list[Artifact]]) -> dict[float, Results]:
    return {percent: Results.of(found) for percent, found in origins.items()}


def test_everybody_is_judged_alike_at_every_share(results: dict[float, Results]) -> None:
    whole = results[100].judged
    assert len(whole) > 500
    for found in results.values():
        assert found.judged.select(["arm", *SHARED]).equals(whole.select(["arm", *SHARED]))


def test_what_was_learned_differs_and_is_told(origins: dict[float, list[Artifact]]) -> None:
    learned = {percent: found[-1].manifest["learned"] for percent, found in origins.items()}
    for name in ("users", "transitions"):
        assert learned[FEW][name] < learned[SOME][name] < learned[100][name]
    assert 0 < learned[FEW]["users"] < 10
    assert [learned[percent]["untrained"] for percent in (FEW, 100)] == [["planner"], []]
    assert abs(learned[SOME]["users"] - 0.4 * learned[100]["users"]) < 25
    for found in origins.values():
        tables = standings(found[-1])
        assert tables["hybrid"].table
    versions = {standings(found[-1])["hybrid"].table for found in origins.values()}
    assert len(versions) == len(origins)


def test_all_of_the_users_are_a_plain_replay(
    room: tuple[Workspace, Plan], origins: dict[float, list[Artifact]]
) -> None:
    sandbox, plan = room
    assert [one.version for one in roll(sandbox, plan)] == [one.version for one in origins[100]]


def test_leaving_nobody_out_changes_no_digit(
    world: Path, tmp_path: Path, results: dict[float, Results]
) -> None:
    """Transitions parted by a rule that everybody passes, against those that never were."""
    ws = made(world, tmp_path / "all")
    sandbox = open_sandbox(ws, START)
    plan = replace(planned(ws, end=END, arms=COUNTED), learners=Learners(100))
    found = Results.of(roll(sandbox, plan)).judged
    plain = planned(ws, end=END, arms=COUNTED)
    other = Results.of(roll(sandbox, plain)).judged
    for arm in COUNTED:
        assert by_arm(found, arm).equals(by_arm(other, arm)), arm
        # `static` is a table of counts here, and of the planner where there is one
        if arm != "static":
            assert by_arm(found, arm).equals(by_arm(results[100].judged, arm)), arm


def test_too_few_users_leave_popularity(
    origins: dict[float, list[Artifact]], results: dict[float, Results]
) -> None:
    assert all("nothing could be fitted" in one.manifest["learned"]["unfitted"] for one in origins[FEW])
    few, some = (learned_over(origins[percent]) for percent in (FEW, SOME))
    assert few["unfitted_origins"] == few["origins"] == len(origins[FEW])
    assert few["unfitted"] == origins[FEW][-1].manifest["learned"]["unfitted"]
    assert (some["unfitted_origins"], some["unfitted"]) == (0, "")
    partly = learned_over([*origins[FEW], *origins[SOME]])
    assert (partly["unfitted_origins"], partly["unfitted"]) == (few["origins"], few["unfitted"])
    assert partly["users"] == some["users"]
    judged = results[FEW].judged
    assert np.isfinite(by_arm(judged, "counts")["nll"].to_numpy()).all()
    assert by_arm(judged, "hybrid")["nll"].equals(by_arm(judged, "counts")["nll"])
    nll = {
        percent: pc.mean(by_arm(found.judged, "counts")["nll"]).as_py() for percent, found in results.items()
    }
    assert nll[FEW] > nll[SOME] > nll[100]


def test_a_share_goes_on_where_it_was(room: tuple[Workspace, Plan], results: dict[float, Results]) -> None:
    sandbox, plan = room
    again = Results.of(roll(sandbox, plan.learned_by(SOME)))
    assert again.judged.equals(results[SOME].judged)
    assert again.circumstances.equals(results[SOME].circumstances)


def test_nobody_else_is_learned_from(room: tuple[Workspace, Plan]) -> None:
    sandbox, plan = room
    learners = Learners(SOME)
    with sandbox.run("look") as run:
        whole = snapshot_of(sandbox, run, plan.start)
        part = learned_by(sandbox, run, whole, learners)
    everything = AsOf.parse("1970-01-01"), plan.start
    known, all_rows = part.transitions.between(*everything), whole.transitions.between(*everything)
    assert learners.kept(known.user).all()
    assert len(known) == learners.kept(all_rows.user).sum()
    assert part.learners == learners
    assert part.version != whole.version
    assert (part.interests_version, part.scales) == (whole.interests_version, whole.scales)


def test_arms_of_shares_are_those_that_differ_by_a_source() -> None:
    with_planner = by_source(Able(True, mixes=True))
    assert set(with_planner) == {*BY_SOURCE}
    alone = by_source(Able(False, trains=False))
    assert set(alone) == {"counts", "content", "popularity"}
    assert set(by_source(Able(False, trains=False, content=False))) == {"counts", "popularity"}
