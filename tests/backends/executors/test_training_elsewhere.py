"""Trainings on a cluster make what they make here, byte for byte, and go on from what a killed one kept."""

from __future__ import annotations

import os
import pickle
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from freshet.backends.executors.remote_training import RemoteSequenceTrainer, RemoteTuner
from freshet.backends.planners.fake import FakeTuner
from freshet.backends.planners.scratch import ScratchTuner
from freshet.backends.sequences.trainers import TorchSequenceTrainer
from freshet.core.ports import Budget, Progress, Resources, SequenceJob, Sequences, TuningJob, silent
from freshet.core.types import TuningReport
from tests.backends.executors.cluster import executor
from tests.backends.planners import worlds


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_planner_is_the_same_and_answers_the_same(cluster: Any, tmp_path: Path) -> None:
    job = worlds.job("description", worlds.examples("description", 60), budget=Budget(steps=3))
    tuner = ScratchTuner(device="cpu")
    report = tuner.tune(job, tmp_path / "here")
    there = RemoteTuner(tuner, executor(cluster, tmp_path), Resources(), Resources())
    told: list[tuple[int, int]] = []
    assert there.tune(job, tmp_path / "there", lambda *now: told.append(now)) == report
    assert files(tmp_path / "there") == files(tmp_path / "here")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("there.")] == []
    assert told
    assert told[-1][0] == told[-1][1]
    asked = worlds.prompts("description", 40)
    local = tuner.open(tmp_path / "here", worlds.interests())
    planner = there.open(tmp_path / "there", worlds.interests())
    assert planner.version == local.version
    assert planner.size(asked) == local.size(asked)
    assert planner.generate(asked[:3]) == local.generate(asked[:3])
    found = dict(planner.rank_each([asked[:20], asked[20:]], 4))
    for number, chunk in enumerate([asked[:20], asked[20:]]):
        np.testing.assert_array_equal(found[number].logp, local.rank(chunk, 4).logp)
        np.testing.assert_array_equal(found[number].successors, local.rank(chunk, 4).successors)


def test_a_sequence_model_is_the_same(cluster: Any, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    rows, things = 80, 7
    sequences = Sequences(
        draw.integers(0, things, (rows, 5)).astype(np.int32),
        draw.integers(0, things, rows).astype(np.int32),
        np.zeros((rows, things), bool),
        np.zeros((1, 1, things), np.float32),
        np.zeros(rows, np.int64),
        np.arange(rows),
        np.arange(rows, dtype=np.int32),
    )
    vectors = draw.normal(size=(things, 4)).astype(np.float32)
    job = SequenceJob(sequences, vectors, None, 5.0, Budget(steps=4), 0)
    trainer = TorchSequenceTrainer()
    there = RemoteSequenceTrainer(trainer, executor(cluster, tmp_path), Resources())
    assert there.version == trainer.version
    assert pickle.dumps(there.train(job)) == pickle.dumps(pickle.loads(pickle.dumps(trainer.train(job))))


@dataclass(frozen=True)
class KilledTuner(FakeTuner):
    """Its process dies after a part of the training, which it has kept."""

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        assert job.kept is not None
        if not (job.kept / "half").exists():
            (job.kept / "half").touch()
            into.mkdir(parents=True)
            (into / "half a model").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().tune(job, into, progress)


def test_a_killed_training_goes_on_from_what_it_kept(cluster: Any, tmp_path: Path) -> None:
    job = replace(worlds.job("label", []), kept=tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    there = RemoteTuner(KilledTuner(), executor(cluster, tmp_path), Resources(), Resources())
    there.tune(job, tmp_path / "model")
    assert (tmp_path / "kept" / "half").exists()
    assert list(files(tmp_path / "model")) == ["freshet.json"]
