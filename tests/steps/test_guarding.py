"""An arm that harms what is guarded is stopped, the release it was served rolls back, and the ledger says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from freshet import pipeline
from freshet.errors import ConfigError
from freshet.steps.measures import metric
from freshet.types import Experiment, ExperimentArm, Serves
from freshet.wiring import open_state
from freshet.workspace import Workspace
from tests.steps.exposed import DAY, shown, write_impressions
from tests.steps.exposed import import_events as told
from tests.steps.world import FIRST, NOW, SECOND, copied, settings

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
        pipeline.fast_path(ws, moment, force_publish=True)
    return ws


def guarded(two: Workspace, root: Path, world: Path, extra: str = GUARDED) -> Workspace:
    return copied(two, root / "ws", settings(world, extra=extra))


def start(ws: Workspace, control: Serves, treatment: Serves, began: int = 1, name: str = "try") -> Experiment:
    arms = (ExperimentArm("control", 0.5, control), ExperimentArm("treatment", 0.5, treatment))
    made = Experiment(name, name, arms, 1.0, ("satisfied",), START, began)
    ws.experiments.start(made)
    return made


def happen(ws: Workspace, rate: float, users: int = 300, lost: float = 0.0) -> None:
    """Users of treatment are satisfied `rate` times as often; some of its exposures are lost."""
    rng = np.random.default_rng(3)
    impressions, events = [], []
    for n in range(users):
        arm = ("control", "treatment")[n % 2]
        if arm == "treatment" and rng.random() < lost:
            continue
        time = START + int(rng.uniform(0, 3) * DAY)
        impressions.append({**shown(f"g{n}", arm, 0), "time": time})
        events += [
            {"user": f"g{n}", "item": f"i{k}", "time": time + k + 1, "value": 9.0, "impression": "x"}
            for k in range(rng.poisson(3 * (rate if arm == "treatment" else 1)))
        ]
    write_impressions(ws.root, impressions)
    told(ws, events)


def test_harm_stops_the_experiment_and_rolls_back(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(1), Serves())
    happen(ws, 0.5)
    record, found = pipeline.check_experiments(ws, NOW)
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


def test_a_run_looks_after_collecting_and_publishes_no_harmful_table_again(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    ws = guarded(two, tmp_path, world)
    happen(ws, 0.5)
    pipeline.import_log(ws, NOW)  # from now on importing the files anew changes nothing
    pipeline.fast_path(ws, SECOND, force_publish=True)
    harmful = ws.releases.current()
    assert harmful is not None
    start(ws, Serves(1), Serves())
    noon = SECOND.moment + timedelta(hours=12)  # the day is not over, so a table is of its midnight
    state = open_state(ws.root, ws.config)
    record = pipeline.run_due(ws, noon, state=state)
    assert [step.name for step in record.steps][-4:] == ["collect", "guard", "rollback", "experiment"]
    assert (record.release, ws.releases.pointer()) == (1, 1)
    pipeline.run_due(ws, noon, state=state)
    state.close()
    assert ws.releases.pointer() == 1
    record = pipeline.fast_path(ws, today=noon)
    made = next(step.artifact for step in record.steps if step.name == "table")
    assert made == f"tables/{harmful.table}"  # it was made, and not published
    assert ws.releases.pointer() == 1


def test_no_harm_stops_nothing(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(1), Serves())
    happen(ws, 1.3)
    _, found = pipeline.check_experiments(ws, NOW)
    assert [one.harm for one in found.judged] == [False]
    assert ws.experiments.get("try").running
    assert ws.releases.pointer() == 2


def test_harm_within_the_tolerance_is_put_up_with(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = guarded(two, tmp_path, world, GUARDED + "tolerance = 0.9\n")
    start(ws, Serves(1), Serves())
    happen(ws, 0.5)
    assert not pipeline.check_experiments(ws, NOW)[1].stopped


def test_where_lower_is_better_more_is_harm(two: Workspace, tmp_path: Path, world: Path) -> None:
    extra = '[experiments]\nnegative = "value = 9"\n' + GUARDED.replace("satisfied", "negative")
    ws = guarded(two, tmp_path, world, extra)
    start(ws, Serves(1), Serves())
    happen(ws, 2.0)
    assert metric(ws.config, "negative").sign == -1
    assert "negative" in pipeline.check_experiments(ws, NOW)[1].stopped["try"]


def test_a_strategy_that_harms_is_stopped_and_current_stays(
    two: Workspace, tmp_path: Path, world: Path
) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(), Serves(None, "popularity"), began=2)
    happen(ws, 0.5)
    _, found = pipeline.check_experiments(ws, NOW)
    assert found.stopped
    assert found.rolled_back is None
    assert ws.releases.pointer() == 2


def test_without_an_earlier_release_it_is_only_stopped(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(None, "counts"), Serves(), began=2)
    happen(ws, 0.5)
    _, found = pipeline.check_experiments(ws, NOW)
    assert found.stopped
    assert found.rolled_back is None
    assert ws.releases.pointer() == 2


def test_a_failed_sample_ratio_is_no_ground_to_act(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = guarded(two, tmp_path, world)
    start(ws, Serves(1), Serves())
    happen(ws, 0.5, lost=0.6)
    _, found = pipeline.check_experiments(ws, NOW)
    assert not found.judged
    assert ws.experiments.get("try").running


def test_before_anybody_was_exposed_nothing_is_judged(two: Workspace, tmp_path: Path, world: Path) -> None:
    ws = guarded(two, tmp_path, world)
    started = start(ws, Serves(1), Serves())
    assert not pipeline.check_experiments(ws, NOW)[1].judged
    with pytest.raises(ConfigError, match="no experiment 'other'"):
        pipeline.check_experiments(ws, NOW, "other")
    ws.experiments.stop("try", replace(started).start + 1, "enough")
    with pytest.raises(ConfigError, match="was stopped: enough"):
        pipeline.check_experiments(ws, NOW, "try")
