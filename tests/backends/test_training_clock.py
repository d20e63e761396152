"""Steps decide when a training ends; the clock is told of where it does, and its word is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from freshet.backends import training_clock as clock
from freshet.backends.planners.scratch import ScratchTuner
from freshet.backends.sequences.trainers import TorchRankingTrainer, TorchSequenceTrainer
from freshet.core.ports import Budget, Candidates, SequenceReport
from freshet.core.types import TuningReport
from freshet.stages import sequence
from tests.backends.planners import worlds
from tests.backends.sequences import test_ranking_trainer as items
from tests.backends.sequences import test_trainers as sequences

pytestmark = pytest.mark.slow

pytest.importorskip("torch")
Report = TuningReport | SequenceReport
Train = Callable[[Path, Budget], Report]


def planner(mode: str) -> Train:
    """Of `scratch`: labels are learned as choices, descriptions as language."""

    def train(into: Path, budget: Budget) -> TuningReport:
        samples = worlds.examples(mode, 96)
        job = replace(worlds.job(mode, samples, epochs=6), budget=budget)
        if mode == "label":
            known, even = np.zeros((96, worlds.N), bool), np.zeros((1, worlds.N), np.float32)
            job = replace(job, candidates=Candidates(known, even, np.zeros(96, np.int64)))
        return ScratchTuner(device="cpu").tune(job, into)

    return train


def sequence_model(into: Path, budget: Budget) -> SequenceReport:
    """Until held-out rows gain no more."""
    job = sequences.job(sequences.chain(300), budget=budget)
    weights, report = TorchSequenceTrainer(replace(sequences.SMALL, most_passes=6.0)).train(job)
    sequence.write(sequence.SequenceModel(weights), into)
    return report


def ranker(into: Path, budget: Budget) -> SequenceReport:
    """The same."""
    job = replace(items.twins(600), later=np.arange(500, 600), epochs=0.0, budget=budget)
    weights, report = TorchRankingTrainer(replace(items.SMALL, most_passes=4.0)).train(job)
    sequence.write(sequence.SequenceModel(weights.sequence), into)
    np.save(into / "project.npy", weights.project)
    return report


TRAINERS = {
    "planner, labels": planner("label"),
    "planner, descriptions": planner("description"),
    "sequence model": sequence_model,
    "ranker": ranker,
}


@pytest.fixture(params=TRAINERS, scope="module")
def train(request: pytest.FixtureRequest) -> Train:
    return TRAINERS[request.param]


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """Lets every look at the machine's time find so many seconds gone since the last."""

    def every(seconds: float) -> None:
        ticks = count()
        monkeypatch.setattr(clock, "monotonic", lambda: next(ticks) * seconds)

    return every


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_slow_machine_trains_the_same_bytes(
    train: Train, tmp_path: Path, ticking: Callable[[float], None]
) -> None:
    one = train(tmp_path / "one", Budget(steps=9))
    ticking(100.0)
    two = train(tmp_path / "two", Budget(steps=9))
    assert one == two
    assert one.stopped_after is None
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_no_training_takes_more_steps_than_it_may(train: Train, tmp_path: Path) -> None:
    few, more = train(tmp_path / "few", Budget(steps=2)), train(tmp_path / "more", Budget(steps=5))
    assert (few.steps, more.steps) == (2, 5)
    assert few.ended in ("budget", "")


def test_what_the_clock_stopped_is_told_and_made_again_by_steps(
    train: Train, tmp_path: Path, ticking: Callable[[float], None]
) -> None:
    ticking(100.0)
    cut = train(tmp_path / "cut", Budget(seconds=350.0))
    assert cut.stopped_after == 4
    ticking(0.0)
    whole = train(tmp_path / "whole", Budget(seconds=350.0))
    assert whole.stopped_after is None
    assert whole.steps > cut.steps
    again = train(tmp_path / "again", Budget(stopped_after=4))
    assert again == cut
    assert files(tmp_path / "again") == files(tmp_path / "cut") != files(tmp_path / "whole")
