"""A planner that stops answering: no verdict on it, no end of the table, and held-out prompts come first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from freshet import operations, pipeline
from freshet.backends.planners.fake import FakePlanner, FakeTuner
from freshet.core.errors import PlannerGone
from freshet.core.types import Interests, Prompt, Ranking
from freshet.inspect import status
from freshet.stages.inference import read
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FAKE, NOW, SECOND, copied, settings, step, with_tuner, workspace

WHY = "the server is gone"


class Leaving(FakePlanner):
    """A fake planner that answers so many prompts, in the middle of a call if need be, and no more."""

    def __init__(self, interests: int, left: list[int], asked: list[Prompt]) -> None:
        super().__init__(interests)
        self.left, self.asked = left, asked

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        if self.left[0] <= 0:
            raise PlannerGone(WHY)
        found = super().rank(prompts, top)
        count, self.left[0] = self.left[0], self.left[0] - len(prompts)
        self.asked += prompts[:count]
        if count >= len(prompts):
            return found
        successors, logp = found.successors.copy(), found.logp.copy()
        successors[count:], logp[count:] = -1, -np.inf
        return Ranking(successors, logp, found.usage, gone=WHY)


class LeavingTuner(FakeTuner):
    """Opens planners that answer so many prompts between them."""

    def __init__(self, answers: int) -> None:
        self.left, self.asked = [answers], list[Prompt]()

    def open(self, model: Path, interests: Interests) -> Leaving:
        return Leaving(len(interests), self.left, self.asked)


def test_gates_that_can_not_be_asked_to_the_end_give_no_verdict(world: Path, tmp_path: Path) -> None:
    ws = with_tuner(workspace(tmp_path / "ws", settings(world, "fake", FAKE)), LeavingTuner(5))
    operations.import_log(ws, NOW)
    with pytest.raises(PlannerGone, match=WHY):
        pipeline.finetune(ws, SECOND)
    assert ws.ledger.records()[-1].outcome == "failed"
    assert ws.store.versions("gates") == []


def test_the_model_that_was_accepted_stays_when_a_new_one_can_not_be_judged(
    planned: Workspace, tmp_path: Path
) -> None:
    ws = copied(planned, tmp_path / "ws")
    gone = with_tuner(ws, LeavingTuner(0))
    [before] = ws.store.versions("models")
    assert pipeline.finetune(gone, SECOND).outcome == "done"
    assert len(ws.store.versions("models")) == 2
    assert len(ws.store.versions("gates")) == 1
    record = pipeline.refresh(ws, SECOND)
    [table] = [one.artifact for one in record.steps if one.name == "table"]
    made = ws.store.find("tables", table.partition("/")[2])
    assert made is not None
    assert made.manifest["inputs"]["model"] == before


def last_table(ws: Workspace) -> str:
    """Of the last run."""
    return next(one.artifact for one in ws.ledger.records()[-1].steps if one.name == "table")


def test_the_rest_of_a_table_goes_by_counts_and_held_out_prompts_come_first(
    planned: Workspace, tmp_path: Path
) -> None:
    ws = copied(planned, tmp_path / "ws")
    tuner = LeavingTuner(10_000)
    details = step(pipeline.refresh(with_tuner(ws, tuner), SECOND), "inference")
    held = details["calibration"]["changed"]  # type: ignore[index]
    everything = len(tuner.asked)
    assert 0 < held < everything
    assert details["not_asked"] == 0

    again = copied(planned, tmp_path / "again")
    leaving = LeavingTuner(held + 6)
    details = step(pipeline.refresh(with_tuner(again, leaving), SECOND, publish=True), "inference")
    assert details["not_asked"] == everything - (held + 6)
    assert leaving.asked == tuner.asked[: held + 6]
    assert details["failed"] == 0

    found = [one.path + ": " + one.why for one in status(again, NOW.date()).due]
    assert f"refresh: {everything - (held + 6):,} prompts were not asked" in " ".join(found)

    # the same command goes on with what was not asked, and then has nothing left to do
    back = LeavingTuner(10_000)
    details = step(pipeline.refresh(with_tuner(again, back), SECOND), "inference")
    assert details["not_asked"] == 0
    assert sorted(p.text for p in back.asked) == sorted(p.text for p in tuner.asked[held + 6 :])
    assert [one.name for one in pipeline.refresh(with_tuner(again, back), SECOND).steps].count(
        "inference"
    ) == 0
    whole, repaired = (read(one.root / last_table(one) / "planner") for one in (ws, again))
    assert np.array_equal(whole.successors, repaired.successors)
