"""What is judged and weighed has not seen the held-out windows; what answers for the table has."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from freshet import operations, pipeline
from freshet.backends.planners.fake import FakePlanner, FakeTuner
from freshet.core.ports import Progress, TuningJob, silent
from freshet.core.types import Interests, Prompt, Ranking, TuningReport
from tests.pipeline.world import (
    FAKE,
    FIRST,
    INTERESTS,
    NOW,
    approving,
    settings,
    step,
    table_of,
    with_tuner,
    workspace,
)


class Recording(FakeTuner):
    """Makes fake planners whose seed is the number of their examples; counts what each is asked."""

    def __init__(self) -> None:
        self.asked: Counter[int] = Counter()

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        return super().tune(replace(job, seed=len(job.examples)), into, progress)

    def open(self, model: Path, interests: Interests) -> FakePlanner:
        asked, planner = self.asked, super().open(model, interests)

        class Asked(FakePlanner):
            def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
                asked[self.seed] += len(prompts)
                return super().rank(prompts, top)

        return Asked(planner.interests, planner.seed)


@pytest.mark.parametrize("refit", [True, False])
def test_held_out_windows_are_answered_by_the_holdout_model(world: Path, tmp_path: Path, refit: bool) -> None:
    text = settings(world, "fake", FAKE + f"[tuning]\nrefit = {str(refit).lower()}\n")
    tuner = Recording()
    ws = with_tuner(workspace(tmp_path, text), tuner)
    operations.import_log(ws, NOW)
    approving(lambda: pipeline.finetune(ws, FIRST), ws)
    tuner.asked.clear()
    record = pipeline.refresh(ws, FIRST)
    table = table_of(ws, FIRST)
    [model] = ws.store.versions("models")
    found = ws.store.find("models", model)
    assert found is not None
    seeds = [
        json.loads((found.path / name / "freshet.json").read_text())["seed"]
        for name in (("forerunner", "model") if refit else ("model", "model"))
    ]
    assert 0 < seeds[0] < seeds[1] if refit else seeds[0] == seeds[1]
    assert table.manifest["planner"] == FakePlanner(INTERESTS, seeds[1]).version
    details = step(record, "inference")
    assert sum(tuner.asked.values()) == details["prompts"]
    if refit:
        assert tuner.asked[seeds[1]] == details["changed"]
        assert tuner.asked[seeds[0]] > 0
