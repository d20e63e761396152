"""What the clock stopped is told, kept in the ledger, and made again by steps."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from itertools import count
from pathlib import Path

import pytest

from freshet import inspect, pipeline
from freshet.backends import training_clock as clock
from freshet.backends.planners.fake import FakeTuner
from freshet.backends.sequences.recipes import ItemRecipe, Recipe
from freshet.backends.sequences.trainers import TorchRankingTrainer, TorchSequenceTrainer
from freshet.core.ports import Budget, Progress, TuningJob, silent
from freshet.core.types import TuningReport
from freshet.pipeline import snapshot_of
from freshet.report import write_report
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages.counts.fitter import fitter_for
from freshet.stages.items import step as ranking
from freshet.stages.sequence import step as sequencing
from freshet.storage.ledger import Run
from freshet.storage.training_budget import Trainings
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FAKE, FIRST, approving, content, copied, settings, step, with_tuner

SMALL = "\n[sequence]\nmax_seconds = 350\n[ranker]\nmax_seconds = 350\n"


class Telling:
    """A reporter that keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(self, name: str) -> Progress:
        return silent


def ticking(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Every look at the machine's time finds so many seconds gone since the last."""
    ticks = count()
    monkeypatch.setattr(clock, "monotonic", lambda: next(ticks) * seconds)


def sequences(ws: Workspace, run: Run, known: LogSnapshot) -> None:
    sequencing.train(RunContext(ws, run, known, fitter_for(ws.config, known)))


def rankers(ws: Workspace, run: Run, known: LogSnapshot) -> None:
    ranking.train(ws, run, known)


@pytest.mark.parametrize(("kind", "train"), [("sequences", sequences), ("itemmodels", rankers)])
def test_a_lost_model_that_the_clock_stopped_is_made_again_byte_for_byte(
    kind: str,
    train: Callable[[Workspace, Run, LogSnapshot], None],
    world: Path,
    counted: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("torch")
    ws = replace(
        copied(counted, tmp_path / "ws", settings(world, "counts", SMALL)),
        sequencer=TorchSequenceTrainer(Recipe(width=8, inner=8, batch_size=64, most_passes=4.0)),
        ranker=TorchRankingTrainer(ItemRecipe(width=8, inner=8, batch_size=64, most_passes=4.0)),
        reporter=Telling(),
    )

    def made(seconds: float) -> tuple[dict[str, bytes], dict[str, object], list[str]]:
        ws.reporter.said.clear()  # type: ignore[attr-defined]
        shutil.rmtree(ws.root / kind, ignore_errors=True)
        ticking(monkeypatch, seconds)
        with ws.run("train") as run:
            train(ws, run, snapshot_of(ws, run, FIRST))
        told = next(s for s in run.record.steps if s.artifact.startswith(kind)).details
        [version] = ws.store.versions(kind)
        found = ws.store.find(kind, version)
        assert found is not None
        assert {name: found.manifest[name] for name in ("trainings", "stopped")} == {
            name: told[name] for name in ("trainings", "stopped")
        }
        return content(ws, [kind]), told, list(ws.reporter.said)  # type: ignore[attr-defined]

    cut, told, said = made(100.0)
    assert told["stopped"] == "clock"
    assert told["trainings"]["full"] == {  # type: ignore[index]
        "steps": 4,
        "stopped_after": 4,
        "ended": "clock",
    }
    assert any("the clock ended training 'full' after 4 steps (max_seconds = 350)" in line for line in said)
    again, told_again, _ = made(0.0)
    assert told_again == told
    assert again == cut
    shutil.rmtree(ws.root / "runs")  # where nobody remembers, the clock is asked again
    whole, told_whole, said = made(0.0)
    assert told_whole["stopped"] is None
    assert whole != cut
    assert not any("the clock" in line for line in said)


class Slow(FakeTuner):
    """Says that the clock ended each training after 7 steps; remembers the budgets it was given."""

    def __init__(self, fails_at: int) -> None:
        self.budgets: list[Budget] = []
        self.fails_at = fails_at

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        self.budgets.append(job.budget)
        if len(self.budgets) == self.fails_at:
            raise KeyboardInterrupt
        return replace(super().tune(job, into, progress), steps=7, stopped_after=7)


def test_a_run_that_fails_later_still_keeps_what_the_clock_said(
    world: Path, counted: Workspace, tmp_path: Path
) -> None:
    text = settings(world, "fake", FAKE + "[tuning]\nmax_steps = 50\nmax_seconds = 9\n")
    tuner = Slow(fails_at=2)
    ws = with_tuner(copied(counted, tmp_path / "ws", text), tuner)
    with pytest.raises(KeyboardInterrupt):
        pipeline.finetune(ws, FIRST)
    approving(lambda: pipeline.finetune(ws, FIRST), ws)
    pipeline.refresh(ws, FIRST, publish=True)
    release = ws.releases.current()
    assert release is not None
    assert release.model
    assert inspect.status(ws, date(2024, 2, 13)).cut_short == (f"models/{release.model}",)
    page = " ".join(write_report(ws, tmp_path / "report.html").read_text().split())
    assert f"The clock ended the training of models/{release.model} before its own end." in page
    first, second, first_again, second_again = tuner.budgets
    assert first == second == second_again == Budget(50, 9.0)
    assert first_again == Budget(50, math.inf, stopped_after=7)
    record = next(r for r in ws.ledger.records() if any(s.name == "gates" for s in r.steps))
    assert step(record, "tuning")["trainings"] == {
        name: {"steps": 7, "stopped_after": 7} for name in ("forerunner", "model")
    }


def test_auto_leaves_the_number_of_steps_to_the_recipe(counted: Workspace, tmp_path: Path) -> None:
    ws = copied(counted, tmp_path / "ws")
    with ws.run("look") as run, run.step("look") as looked:
        assert Trainings(run, looked, ws.config.tuning).budget("model") == Budget(None, 3600.0)
