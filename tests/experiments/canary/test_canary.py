"""A new release serves some users first: taken back where it harms, for everybody where it doesn't."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from freshet import due, operations, pipeline
from freshet.cli import show
from freshet.core.config import Config
from freshet.core.errors import ConfigError
from freshet.core.time import microseconds_of
from freshet.core.types import Experiment, ExperimentArm, Serves, user_number
from freshet.experiments import canary
from freshet.experiments.assignment import arm_of
from freshet.experiments.canary import ending, trial
from freshet.experiments.guardrails import guard
from freshet.experiments.guardrails.harm import Findings
from freshet.stages.table import step as table
from freshet.storage.artifacts import committed
from freshet.storage.decisions import GUARDRAIL, Rollback
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace
from tests.experiments.exposed import DAY, import_events, shown, write_impressions
from tests.pipeline.world import FIRST, SECOND, copied, settings

BEGIN = SECOND.moment
START = microseconds_of(BEGIN)
TRIED = "[canary]\nshare = 0.3\ndays = 2\n"


@pytest.fixture(scope="module")
def two(counted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with two releases, the first of which is current."""
    ws = copied(counted, tmp_path_factory.mktemp("two") / "ws")
    for moment in (FIRST, SECOND):
        pipeline.refresh(ws, moment, publish=True)
    ws.releases.point_to(1)
    return ws


def tried(two: Workspace, root: Path, world: Path, extra: str = TRIED) -> Workspace:
    """The same, with the second release as a canary since `BEGIN`."""
    ws = copied(two, root / "ws", settings(world, extra=extra))
    publish(ws, ws.releases.get(2))
    return ws


def publish(ws: Workspace, release: Release, now: datetime = BEGIN, *, at_once: bool = False) -> Release:
    beside = table.Companions(release.overlay, release.ranker, release.feedback, release.users)
    with ws.run("refresh") as run:
        return canary.publish(
            ws, run, committed(ws.store, "tables", release.table), beside, now, at_once=at_once
        )


def happen(ws: Workspace, rate: float, users: int = 900, lost: float = 0.0, days: float = 1.9) -> None:
    """Users of the canary are satisfied `rate` times as often; some of its exposures are lost."""
    one = canary.running(ws)
    assert one is not None
    rng = np.random.default_rng(3)
    impressions, events = [], []
    for n in range(users):
        arm = arm_of(one, user_number(f"g{n}"))
        assert arm is not None
        if arm.name == trial.CANARY and rng.random() < lost:
            continue
        time = START + int(rng.uniform(0, days) * DAY)
        items = [f"i{k}" for k in range(20)]
        impressions.append(
            {**shown(f"g{n}", arm.name, 0, name=one.name, id=f"a{n}", items=items), "time": time}
        )
        events += [
            {"user": f"g{n}", "item": f"i{k}", "time": time + k + 1, "value": 9.0, "impression": f"a{n}"}
            for k in range(rng.poisson(3 * (rate if arm.name == trial.CANARY else 1)))
        ]
    write_impressions(ws.root, impressions)
    import_events(ws, events)


def at(days: float) -> datetime:
    return BEGIN + timedelta(days=days)


def test_some_users_are_served_first(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = tried(two, tmp_path, world)
    assert ws.releases.pointer() == 1
    one = canary.running(ws)
    assert one is not None
    assert (one.name, one.began, canary.tried(one), one.traffic) == ("canary-2", 1, 2, 1.0)
    arms = [arm_of(one, user_number(f"u{n}")) for n in range(2000)]
    share = np.mean([arm is not None and arm.name == trial.CANARY for arm in arms])
    assert abs(share - 0.3) < 0.05
    told = io.StringIO()
    show.ended(Console(file=told, width=200), next(ws.ledger.newest_first()), None)
    assert "done: release 2 serves 30.0% of the users first;" in told.getvalue()


def test_without_a_share_it_serves_everybody(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = tried(two, tmp_path, world, "")
    assert ws.releases.pointer() == 2
    assert canary.running(ws) is None


def test_a_harmful_one_is_taken_back_and_not_published_again(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    ws = tried(two, tmp_path, world)
    happen(ws, 0.6)
    record, found = operations.check_experiments(ws, at(1.5))
    assert [one.harm for one in found.judged] == [True]
    assert (found.rolled_back, found.promoted) == ((2, 1), None)
    assert (ws.releases.pointer(), canary.running(ws)) == (1, None)
    back = ws.decisions.rollbacks()[-1]
    assert (back[0].by, back[1]) == (GUARDRAIL, Rollback(1, 2))
    assert "satisfied" in back[0].reason
    assert record.release == 1
    made = committed(ws.store, "tables", ws.releases.get(2).table)
    with ws.run("refresh") as run:
        ctx = pipeline.context_of(ws, run, SECOND)
        run.record.newest = True
        assert due.held_back(ctx, made, SECOND)
    pipeline.refresh(ws, SECOND)
    assert (ws.releases.pointer(), canary.running(ws)) == (1, None)


def test_the_same_serves_everybody_when_its_days_are_over(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    ws = tried(two, tmp_path, world)
    happen(ws, 1.0)
    assert operations.check_experiments(ws, at(1.9))[1].promoted is None
    assert canary.running(ws) is not None
    _, found = operations.check_experiments(ws, at(2.1))
    assert (found.promoted, found.rolled_back) == (2, None)
    assert (ws.releases.pointer(), canary.running(ws)) == (2, None)
    assert "no harm was found in 2 days" in ws.experiments.get("canary-2").reason


def test_a_better_one_serves_everybody_before(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = tried(two, tmp_path, world)
    happen(ws, 2.0)
    assert operations.check_experiments(ws, at(1.0))[1].promoted == 2


def test_one_that_loses_its_users_is_taken_back(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = tried(two, tmp_path, world)
    happen(ws, 1.0, lost=0.7)
    _, found = operations.check_experiments(ws, at(1.0))
    assert found.rolled_back == (2, 1)
    assert "sample ratio" in found.stopped["canary-2"]


def test_one_that_nobody_was_shown_although_others_were_is_taken_back(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    ws = tried(two, tmp_path, world)
    rows = [{**shown(f"g{n}", "", 0, name="", id=f"a{n}"), "time": START + n} for n in range(ending.MANY)]
    write_impressions(ws.root, rows)
    assert operations.check_experiments(ws, at(1.0))[1].rolled_back is None
    assert operations.check_experiments(ws, at(2.1))[1].rolled_back == (2, 1)


def test_one_whose_metric_has_no_column_is_not_taken_for_broken(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    rated = '[experiments]\nsatisfied = "rating >= 4"\n'
    ws = tried(two, tmp_path, world, TRIED + rated)
    rows = [{**shown(f"g{n}", "", 0, name="", id=f"a{n}"), "time": START + n} for n in range(300)]
    write_impressions(ws.root, rows)
    _, found = operations.check_experiments(ws, at(2.1))
    assert (found.rolled_back, found.promoted) == (None, 2)


def test_answers_to_nobody_known_are_no_sign(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = tried(two, tmp_path, world)
    rows = [{**shown("", "", 0, name="", id=f"a{n}"), "time": START + n} for n in range(300)]
    write_impressions(ws.root, rows)
    assert operations.check_experiments(ws, at(2.1))[1].promoted == 2


def test_impressions_that_can_not_be_read_hold_up_no_run(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = tried(two, tmp_path, world)
    happen(ws, 1.0, users=300)
    path = next((ws.root / "impressions").glob("*/*.parquet"))
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    path.write_bytes(content)
    _, found = operations.check_experiments(ws, at(2.1))
    assert (found.rolled_back, found.problems != ()) == (None, True)


def test_a_rollback_in_the_same_look_leaves_nothing_to_compare(
    two: Workspace, tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = tried(two, tmp_path, world)
    happen(ws, 2.0)
    monkeypatch.setattr(guard, "_findings", lambda ws, *_: ws.releases.point_to(2) and Findings(None, (), ()))
    _, found = operations.check_experiments(ws, at(1.0))
    assert (found.promoted, ws.releases.pointer()) == (None, 2)
    assert ws.experiments.get("canary-2").reason == "release 2 serves everybody"


def test_where_nothing_is_served_it_serves_everybody_in_the_end(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    ws = tried(two, tmp_path, world)
    _, found = operations.check_experiments(ws, at(2.1))
    assert found.promoted == 2
    assert "nothing could be judged" in ws.experiments.get("canary-2").reason


def test_one_that_can_not_be_opened_never_serves_everybody(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    ws = tried(two, tmp_path, world)
    made = committed(ws.store, "tables", ws.releases.get(2).table)
    (made.path / "mixture.json").unlink()
    _, found = operations.check_experiments(ws, at(0.1))
    assert (found.promoted, found.rolled_back) == (None, (2, 1))
    assert ws.releases.pointer() == 1
    assert "can't serve" in found.stopped["canary-2"]


def test_a_person_takes_it_back(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = tried(two, tmp_path, world)
    assert operations.roll_back(ws).number == 1
    assert (ws.releases.pointer(), canary.running(ws)) == (1, None)
    assert ws.decisions.rollbacks()[-1][1] == Rollback(1, 2)


def test_a_person_lets_it_serve_everybody(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = tried(two, tmp_path, world)
    assert operations.roll_back(ws, 2).number == 2
    assert (ws.releases.pointer(), canary.running(ws)) == (2, None)


def test_publishing_it_again_goes_on_with_it(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = tried(two, tmp_path, world)
    before = canary.running(ws)
    assert publish(ws, ws.releases.get(2)).number == 2
    assert canary.running(ws) == before
    assert ws.releases.numbers() == [1, 2]


def test_a_newer_release_takes_its_place(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = tried(two, tmp_path, world)
    other = replace(ws.releases.get(2), overlay="")
    assert publish(ws, other, at(0.5)).number == 3
    one = canary.running(ws)
    assert one is not None
    assert (one.name, canary.tried(one), ws.releases.pointer()) == ("canary-3", 3, 1)
    assert ws.experiments.get("canary-2").reason == "release 3 is newer"
    assert publish(ws, other, at(0.6), at_once=True).number == 3
    assert (ws.releases.pointer(), canary.running(ws)) == (3, None)


def test_it_ends_where_something_else_serves(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = tried(two, tmp_path, world)
    happen(ws, 0.6)
    ws.releases.point_to(2)  # as by a run that was killed before it stopped the experiment
    _, found = operations.check_experiments(ws, at(1.0))
    assert (found.rolled_back, ws.releases.pointer(), canary.running(ws)) == (None, 2, None)


def test_experiments_of_people_come_first(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = tried(two, tmp_path, world)
    arms = (ExperimentArm("control", 0.5, Serves()), ExperimentArm("treatment", 0.5, Serves(1)))
    mine = Experiment("mine", "mine", arms, 1.0, ("satisfied",), START + 5, 1)
    operations.start_experiment(ws, mine)
    assert [one.name for one in ws.experiments.running()] == ["mine", "canary-2"]
    operations.roll_back(ws)
    publish(ws, replace(ws.releases.get(2), overlay=""))  # all users are in that experiment
    assert (ws.releases.pointer(), canary.running(ws)) == (3, None)


def test_a_run_waits_for_it(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = tried(two, tmp_path, world)
    record = pipeline.run(ws, at(1.0))
    assert not [step for step in record.steps if step.name == "table"]
    assert canary.running(ws) is not None
    pipeline.run(ws, at(2.1))  # nothing is served here, and no store of users is at hand
    assert (ws.releases.pointer(), ws.experiments.get("canary-2").running) == (2, False)


def test_a_metric_that_can_not_be_measured_is_refused(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = copied(two, tmp_path / "ws", settings(world, extra=TRIED + 'metrics = ["nothing"]\n'))
    with pytest.raises(ConfigError, match="nothing"):
        publish(ws, ws.releases.get(2))
    assert ws.releases.pointer() == 1


@given(st.floats(0.01, 0.5), st.text(min_size=1, max_size=12))
def test_a_user_stays_where_they_are_when_the_share_grows(share: float, user: str) -> None:
    """More users get it, nobody goes back: the arm of the canary is the upper end of one draw."""

    def arm(part: float) -> str:
        arms = (ExperimentArm("control", 1 - part, Serves()), ExperimentArm(trial.CANARY, part, Serves(2)))
        found = arm_of(Experiment("c", "c", arms, 1.0, ("satisfied",), 0, 1, canary=True), user_number(user))
        return found.name if found else ""

    if arm(share / 2) == trial.CANARY:
        assert arm(share) == trial.CANARY


def test_off_by_default() -> None:
    assert Config().canary.share == 0
