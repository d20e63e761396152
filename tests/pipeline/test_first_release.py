"""What a first run publishes before its models are there, and what is left of it where they never are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from freshet import inspect, operations, pipeline
from freshet.backends.planners.fake import FakeTuner
from freshet.core.errors import GateFailed
from freshet.core.ports import Progress, RankingJob, SequenceReport, TuningJob, silent
from freshet.core.types import RankingWeights, TuningReport
from freshet.storage import rollback
from freshet.storage.manifests import RankerManifest
from freshet.storage.workspace import Workspace
from tests.pipeline.test_ranking import USE, Watched
from tests.pipeline.world import FAKE, FIRST, NOW, SECOND, approving, copied, settings, with_tuner, workspace

CANARY = '[canary]\nshare = 0.1\nmetrics = ["satisfied"]\n'


class Looking(FakeTuner):
    """Notes, as a training begins, what serves then; is killed there as often as it is told."""

    def __init__(self, kills: int = 0) -> None:
        self.kills, self.ws = kills, None
        self.seen: list[tuple[int, str, int]] = []

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        assert self.ws is not None
        serving = self.ws.releases.current()
        assert serving is not None
        explained = inspect.explain(self.ws, ["1"])
        self.seen.append((serving.number, serving.model, len(explained.successors)))
        if self.kills:
            self.kills -= 1
            raise KeyboardInterrupt
        return super().tune(job, into, progress)


def looking(ws: Workspace, kills: int = 0) -> tuple[Workspace, Looking]:
    tuner = Looking(kills)
    ws = with_tuner(ws, tuner)
    tuner.ws = ws
    return ws, tuner


def test_counts_serve_and_are_explained_while_the_model_is_tuned(world: Path, tmp_path: Path) -> None:
    ws, tuner = looking(workspace(tmp_path, settings(world, "fake", FAKE)))
    record = approving(lambda: pipeline.run(ws, NOW), ws)
    assert [(number, model) for number, model, _ in tuner.seen] == [(1, "")] * len(tuner.seen)
    assert all(shown > 0 for *_, shown in tuner.seen)
    assert tuner.seen
    first, second = (ws.releases.get(number) for number in (1, 2))
    assert ws.releases.numbers() == [1, 2]
    assert record.release == 2
    assert (first.as_of, first.interests) == (second.as_of, second.interests)
    assert second.model != ""
    assert first.table != second.table
    assert pipeline.run(ws, NOW).release == 2  # nothing is left to do
    assert ws.releases.numbers() == [1, 2]


def test_what_a_run_published_on_its_way_counts_as_served(world: Path, tmp_path: Path) -> None:
    ws = workspace(tmp_path, settings(world, "fake", FAKE))
    approving(lambda: pipeline.run(ws, NOW), ws)
    made = ws.releases.get(2)
    ws.ledger.save(replace(ws.ledger.get(made.run), release=3))  # as where its run went on to a third one
    ws.releases.point_to(1)
    assert rollback.was_rolled_back(ws, made.table)
    ws.ledger.save(replace(ws.ledger.get(made.run), release=1))  # as where its publication failed
    assert not rollback.was_rolled_back(ws, made.table)


def test_a_run_killed_while_it_trains_leaves_its_release_and_goes_on(world: Path, tmp_path: Path) -> None:
    ws, tuner = looking(workspace(tmp_path, settings(world, "fake", FAKE)), kills=1)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(ws, NOW)
    assert ws.releases.numbers() == [1]
    killed = ws.ledger.records()[-1]
    assert (killed.outcome, killed.release) == ("failed", 1)
    record = approving(lambda: pipeline.run(ws, NOW), ws)
    assert [number for number, *_ in tuner.seen] == [1] * len(tuner.seen)
    assert record.release == 2
    assert len(ws.store.versions("tables")) == 2  # counts were not made anew


def test_counts_stay_fresh_while_a_model_waits_for_a_person(world: Path, tmp_path: Path) -> None:
    ws = workspace(tmp_path, settings(world, "fake", "[gates]\nrecall = 0.99\nsample = 30\n"))
    operations.import_log(ws, NOW)
    for number, moment in enumerate((FIRST, SECOND), start=1):
        with pytest.raises(GateFailed, match="waits"):
            pipeline.run(ws, NOW, moment, publish=True)
        current = ws.releases.current()
        assert current is not None
        assert (current.number, current.as_of, current.model) == (number, str(moment), "")
        assert ws.ledger.records()[-1].outcome == "waiting"


def test_a_model_that_serves_is_not_replaced_by_counts(world: Path, tmp_path: Path) -> None:
    ws = workspace(tmp_path, settings(world, "fake", FAKE))
    approving(lambda: pipeline.run(ws, NOW, FIRST, publish=True), ws)
    text = (tmp_path / "freshet.toml").read_text() + "[tuning]\nseed = 1\n"  # so no model is accepted
    other, tuner = looking(workspace(tmp_path, text))
    with pytest.raises(GateFailed, match="waits"):
        pipeline.run(other, NOW, SECOND, publish=True)
    assert [number for number, *_ in tuner.seen] == [2] * len(tuner.seen)
    assert other.releases.numbers() == [1, 2]


def test_a_moment_of_the_past_makes_the_models_table_alone(world: Path, tmp_path: Path) -> None:
    ws = workspace(tmp_path, settings(world, "fake", FAKE))
    approving(lambda: pipeline.run(ws, NOW, FIRST), ws)
    assert ws.releases.current() is None
    assert len(ws.store.versions("tables")) == 1


class Late(Watched):
    """A trainer of rankers that notes what serves as it begins; is killed there as often as it is told."""

    def __init__(self, kills: int = 0) -> None:
        super().__init__()
        self.kills, self.seen = kills, list[tuple[int, str]]()
        self.ws: Workspace | None = None

    def train(self, job: RankingJob, progress: Progress = silent) -> tuple[RankingWeights, SequenceReport]:
        assert self.ws is not None
        serving = self.ws.releases.current()
        assert serving is not None
        self.seen.append((serving.number, item_model(self.ws, serving.ranker)))
        if self.kills:
            self.kills -= 1
            raise KeyboardInterrupt
        return super().train(job, progress)


def item_model(ws: Workspace, ranker: str) -> str:
    found = ws.store.find("rankers", ranker)
    assert found is not None
    return RankerManifest.of(found).inputs.itemmodel


@pytest.mark.parametrize("kills", [0, 1])
def test_no_table_waits_for_the_ranker_of_items(
    world: Path, counted: Workspace, tmp_path: Path, kills: int
) -> None:
    trainer = Late(kills)
    ws = replace(copied(counted, tmp_path / "ws", settings(world, "counts", USE)), ranker=trainer)
    trainer.ws = ws
    if kills:
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(ws, NOW, FIRST, publish=True)
    record = pipeline.run(ws, NOW, FIRST, publish=True)
    assert trainer.seen == [(1, "")] * (2 + kills)  # popularity ranks meanwhile
    first, second = (ws.releases.get(number) for number in (1, 2))
    assert ws.releases.numbers() == [1, 2]
    assert record.release == 2
    assert first.table == second.table
    assert item_model(ws, second.ranker) != ""
    assert pipeline.run(ws, NOW, FIRST, publish=True).release == 2


def test_a_table_goes_out_with_the_ranker_of_before_when_a_new_one_is_due(
    world: Path, counted: Workspace, tmp_path: Path
) -> None:
    trainer = Late()
    text = settings(world, "counts", USE + "[tuning]\nevery_days = 7\n")
    ws = replace(copied(counted, tmp_path / "ws", text), ranker=trainer)
    trainer.ws = ws
    for moment in (FIRST, SECOND):
        pipeline.refresh(ws, moment, publish=True)
    before = item_model(ws, ws.releases.get(2).ranker)
    assert trainer.seen == [(1, ""), (1, ""), (3, before), (3, before)]
    assert item_model(ws, ws.releases.get(4).ranker) not in ("", before)
    assert ws.releases.get(3).table == ws.releases.get(4).table


def test_nobody_is_there_to_be_spared_what_a_first_run_publishes(
    world: Path, counted: Workspace, tmp_path: Path
) -> None:
    text = settings(world, "counts", USE + CANARY)
    ws = replace(copied(counted, tmp_path / "ws", text), ranker=Watched())
    assert pipeline.run(ws, NOW).release == 2  # a table, and the same beside its ranker
    assert ws.releases.pointer() == 2
    assert ws.experiments.all() == []
