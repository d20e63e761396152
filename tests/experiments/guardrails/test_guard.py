"""An arm that harms what is guarded is stopped, the release it was served rolls back, and the ledger says why."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freshet import operations, pipeline
from freshet.core.errors import ConfigError
from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.experiments.guardrails import harm
from freshet.experiments.measurement.comparison import compare, ratio_of_users
from freshet.experiments.measurement.experiment_metrics import metric
from freshet.experiments.measurement.measure import Measurement, measure
from freshet.storage.decisions import GUARDRAIL, Rollback, Stop
from freshet.storage.ledger import Quiet
from freshet.storage.workspace import Workspace
from freshet.wiring import open_user_store
from tests.experiments.exposed import DAY, import_events, shown, write_impressions
from tests.pipeline.world import FIRST, NOW, SECOND, copied, settings

GUARDED = """
[[experiments.guardrails]]
metric = "satisfied"
"""
START = int(SECOND.moment.timestamp()) * 1_000_000


@pytest.fixture(scope="module")
def two(counted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with two releases, that of SECOND current."""
    ws = copied(counted, tmp_path_factory.mktemp("two") / "ws")
    for moment in (FIRST, SECOND):
        pipeline.refresh(ws, moment, publish=True)
    return ws


def guarded(two: Workspace, root: Path, world: Path, extra: str = GUARDED) -> Workspace:
    return copied(two, root / "ws", settings(world, extra=extra))


def start(
    ws: Workspace, control: Serves, treatment: Serves, began: int = 1, isolated: bool = False
) -> Experiment:
    arms = (ExperimentArm("control", 0.5, control), ExperimentArm("treatment", 0.5, treatment))
    made = Experiment("try", "try", arms, 1.0, ("satisfied",), START, began, isolated=isolated)
    ws.experiments.start(made)
    return made


class Heard(Quiet):
    """A reporter that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def happen(ws: Workspace, rate: float, users: int = 300, lost: float = 0.0) -> None:
    """Users of treatment are satisfied `rate` times as often; some of its exposures are lost."""
    rng = np.random.default_rng(3)
    impressions, events = [], []
    for n in range(users):
        arm = ("control", "treatment")[n % 2]
        if arm == "treatment" and rng.random() < lost:
            continue
        time = START + int(rng.uniform(0, 3) * DAY)
        items = [f"i{k}" for k in range(20)]
        impressions.append({**shown(f"g{n}", arm, 0, id=f"a{n}", items=items), "time": time})
        events += [
            {"user": f"g{n}", "item": f"i{k}", "time": time + k + 1, "value": 9.0, "impression": f"a{n}"}
            for k in range(rng.poisson(3 * (rate if arm == "treatment" else 1)))
        ]
    write_impressions(ws.root, impressions)
    import_events(ws, events)


def test_harm_stops_the_experiment_and_rolls_back(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(1), Serves())
    happen(ws, 0.5)
    record, found = operations.check_experiments(ws, NOW)
    [judged] = found.judged
    assert judged.harm
    assert judged.high < 0
    assert found.rolled_back == (2, 1)
    stopped = ws.experiments.get("try")
    assert not stopped.running
    assert stopped.reason.startswith("guardrail: treatment changes satisfied by -")
    current = ws.releases.current()
    assert current is not None
    assert current.number == 1
    kept = ws.ledger.get(record.id)
    [step] = [step for step in kept.steps if step.name == "rollback"]
    assert step.details["from"] == 2
    assert stopped.reason in step.details["reason"]
    assert kept.release == 1
    back, stop = ws.decisions.all()
    assert (back.run, back.by, back.subject) == (record.id, GUARDRAIL, Rollback(1, 2))
    assert (stop.run, stop.by, stop.reason, stop.subject) == (
        record.id,
        GUARDRAIL,
        stopped.reason,
        Stop("try"),
    )


def test_a_run_looks_after_collecting_and_publishes_no_harmful_table_again(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    ws = guarded(two, tmp_path, world)
    happen(ws, 0.5)
    operations.import_log(ws, NOW)  # from now on importing the files anew changes nothing
    pipeline.refresh(ws, SECOND, publish=True)
    harmful = ws.releases.current()
    assert harmful is not None
    start(ws, Serves(1), Serves())
    noon = SECOND.moment + timedelta(hours=12)  # the day is not over, so a table is of its midnight
    state = open_user_store(ws.root, ws.config)
    record = pipeline.run(ws, noon, users=state)
    assert [step.name for step in record.steps][-4:] == ["collect", "guard", "rollback", "experiment"]
    assert (record.release, ws.releases.pointer()) == (1, 1)
    pipeline.run(ws, noon, users=state)
    state.close()
    assert ws.releases.pointer() == 1
    record = pipeline.refresh(ws, today=noon)
    made = next(step.artifact for step in record.steps if step.name == "table")
    assert made == f"tables/{harmful.table}"  # it was made, and not published
    assert ws.releases.pointer() == 1


def test_no_harm_stops_nothing(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(1), Serves())
    happen(ws, 1.3)
    _, found = operations.check_experiments(ws, NOW)
    assert [one.harm for one in found.judged] == [False]
    assert ws.experiments.get("try").running
    assert ws.releases.pointer() == 2


def test_harm_within_the_tolerance_is_put_up_with(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = guarded(two, tmp_path, world, GUARDED + "tolerance = 0.9\n")
    start(ws, Serves(1), Serves())
    happen(ws, 0.5)
    assert not operations.check_experiments(ws, NOW)[1].stopped


def test_where_lower_is_better_more_is_harm(two: Workspace, tmp_path: Path, world: Path) -> None:
    extra = '[experiments]\nnegative = "value = 9"\n' + GUARDED.replace("satisfied", "negative")
    ws = guarded(two, tmp_path, world, extra)
    start(ws, Serves(1), Serves())
    happen(ws, 2.0)
    assert metric(ws.config, "negative").sign == -1
    assert "negative" in operations.check_experiments(ws, NOW)[1].stopped["try"]


def test_a_strategy_that_harms_is_stopped_and_current_stays(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(), Serves(None, "popularity"), began=2)
    happen(ws, 0.5)
    _, found = operations.check_experiments(ws, NOW)
    assert found.stopped
    assert found.rolled_back is None
    assert ws.releases.pointer() == 2


def test_without_an_earlier_release_it_is_only_stopped(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(None, "counts"), Serves(), began=2)
    happen(ws, 0.5)
    _, found = operations.check_experiments(ws, NOW)
    assert found.stopped
    assert found.rolled_back is None
    assert ws.releases.pointer() == 2


def test_the_same_strategy_on_two_releases_is_not_what_everybody_is_served(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(1, "counts"), Serves(None, "counts"))
    happen(ws, 0.5)
    _, found = operations.check_experiments(ws, NOW)
    assert found.stopped
    assert found.rolled_back is None
    assert ws.releases.pointer() == 2


def test_where_control_follows_too_the_release_made_no_difference(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(None, "counts"), Serves(), began=1)  # CURRENT moved on since the start
    happen(ws, 0.5)
    _, found = operations.check_experiments(ws, NOW)
    assert found.stopped
    assert found.rolled_back is None
    assert ws.releases.pointer() == 2


def test_a_separated_arm_has_a_release_of_its_own(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(1), Serves(), isolated=True)
    happen(ws, 0.5)
    _, found = operations.check_experiments(ws, NOW)
    assert found.stopped
    assert found.rolled_back is None
    assert ws.releases.pointer() == 2


def test_a_failed_sample_ratio_stops_the_experiment_and_leaves_current(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(1), Serves())
    happen(ws, 0.5, lost=0.6)
    reporter = Heard()
    record, found = operations.check_experiments(replace(ws, reporter=reporter), NOW)
    assert not found.judged  # no effect is believed
    [split] = found.splits
    assert split.failed
    assert split.users[0] == 150 > split.users[1]
    reason = found.stopped["try"]
    assert reason == ws.experiments.get("try").reason
    assert reason.startswith("sample ratio: users are not split as meant (control 150 of")
    assert any("freshet rollback" in line for line in reporter.lines)
    assert found.rolled_back is None
    assert ws.releases.pointer() == 2
    [step] = [step for step in ws.ledger.get(record.id).steps if step.name == "guard"]
    assert step.details["splits"][0]["failed"]


def test_a_sample_ratio_that_one_look_would_alarm_for_is_judged_on(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    ws = guarded(two, tmp_path, world)
    started = start(ws, Serves(1), Serves())
    happen(ws, 0.5, lost=0.4)
    measured = measure(ws, started, [metric(ws.config, "satisfied")])
    assert ratio_of_users(measured).alarm
    _, found = operations.check_experiments(ws, NOW)
    assert not found.splits[0].failed
    assert found.stopped["try"].startswith("guardrail: ")


def test_guardrails_and_arms_share_alpha_and_are_measured_in_one_pass(
    two: Workspace, tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = guarded(two, tmp_path / "one", world)
    both = guarded(two, tmp_path / "two", world, GUARDED + GUARDED.replace("satisfied", "dissatisfied"))
    passes: list[int] = []

    def counted(*args: Any) -> Measurement:
        passes.append(len(args[2]))
        return measure(*args)

    monkeypatch.setattr(harm, "measure", counted)
    found = []
    for ws in (alone, both):
        start(ws, Serves(1), Serves())
        happen(ws, 1.0)
        found.append(operations.check_experiments(ws, NOW)[1].judged)
    [one], [first, second] = found
    assert passes == [1, 2]
    assert (first.metric, second.metric) == ("satisfied", "dissatisfied")
    assert first.effect == one.effect
    started = alone.experiments.get("try")
    measured = measure(alone, started, [metric(alone.config, "satisfied")])
    assert (one.low, one.high) == pytest.approx(compare(measured, level=0.95)[0].always)
    assert (first.low, first.high) == pytest.approx(compare(measured, level=0.975)[0].always)
    assert first.high - first.low > one.high - one.low


def test_a_guardrail_that_cant_be_judged_keeps_no_other_from_it(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    extra = '[experiments]\nnegative = "hidden = 1"\n' + GUARDED.replace("satisfied", "negative") + GUARDED
    ws = guarded(two, tmp_path, world, extra)
    start(ws, Serves(1), Serves())
    happen(ws, 0.5)
    _, found = operations.check_experiments(ws, NOW)
    [problem] = found.problems
    assert "guardrail 'negative' can't be judged" in problem
    assert "'hidden', which no event has" in problem
    assert found.stopped["try"].startswith("guardrail: treatment changes satisfied")


def test_files_that_cant_be_read_are_passed_over_and_told(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(1), Serves())
    happen(ws, 0.5)
    folder = ws.root / "impressions"
    whole = next(folder.glob("*/some.parquet"))
    (whole.parent / "cut.parquet").write_bytes(whole.read_bytes()[:-20])
    (folder / "date=tmp").mkdir()
    (folder / "date=tmp" / "some.parquet").write_bytes(whole.read_bytes())
    reporter = Heard()
    _, found = operations.check_experiments(replace(ws, reporter=reporter), NOW)
    assert found.stopped
    for name in (f"{whole.parent.name}/cut.parquet", "date=tmp/some.parquet"):
        assert sum(f"impressions/{name} is passed over" in line for line in reporter.lines) == 1


def test_what_fails_in_guarding_is_told_and_the_run_goes_on(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(1), Serves())
    happen(ws, 0.5)
    damaged = next((ws.root / "impressions").glob("*/some.parquet"))
    content = bytearray(damaged.read_bytes())
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    content[4:end] = bytes(end - 4)  # what says where columns are, written last, is there; they aren't
    damaged.write_bytes(content)
    reporter = Heard()
    with closing(open_user_store(ws.root, ws.config)) as state:
        noon = SECOND.moment + timedelta(hours=12)
        record = pipeline.run(replace(ws, reporter=reporter), noon, users=state)
    assert record.outcome == "done"
    assert record.steps[-1].name == "histories"
    assert any("try can't be judged: impressions or events can't be read" in one for one in reporter.lines)
    assert ws.experiments.get("try").running


@pytest.mark.parametrize("command", ["collect", "refresh"])
def test_collect_and_refresh_guard_as_a_run_does(
    two: Workspace, tmp_path: Path, world: Path, command: str
) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(1), Serves())
    happen(ws, 0.5)
    noon = SECOND.moment + timedelta(hours=12)
    with closing(open_user_store(ws.root, ws.config)) as state:
        if command == "collect":
            record, _ = operations.collect(ws, state, noon)
        else:
            record = pipeline.refresh(ws, today=noon, users=state)
    steps = [step.name for step in record.steps]
    assert steps == ["collect"] * (command == "collect") + ["guard", "rollback", "experiment"]
    assert not ws.experiments.get("try").running
    assert ws.releases.pointer() == 1


def test_before_anybody_was_exposed_nothing_is_judged(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = guarded(two, tmp_path, world)
    started = start(ws, Serves(1), Serves())
    assert not operations.check_experiments(ws, NOW)[1].judged
    with pytest.raises(ConfigError, match="no experiment 'other'"):
        operations.check_experiments(ws, NOW, "other")
    ws.experiments.stop("try", replace(started).start + 1, "enough")
    with pytest.raises(ConfigError, match="was stopped: enough"):
        operations.check_experiments(ws, NOW, "try")
