"""A training that was killed goes on where it was, and ends with the same weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from freshet.backends.planners import training_checkpoints
from freshet.backends.planners.lora import LoraTuner
from freshet.backends.planners.training_checkpoints import WHOLE, TrainingCheckpoints
from freshet.core.ports import Budget, TuningJob
from tests.backends.planners import worlds

ROOT = Path(__file__).parents[3]

KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from freshet.backends.planners import training_checkpoints
from freshet.backends.planners.lora import LoraTuner
from tests.backends.planners.test_training_checkpoints import job

training_checkpoints.EVERY = 0.0
base, into, kept, rank = sys.argv[1:]

def progress(done, total):
    if done == 4:
        os.kill(os.getpid(), signal.SIGKILL)

LoraTuner(base, device="cpu").tune(replace(job(int(rank)), kept=Path(kept)), Path(into), progress)
"""


def job(rank: int, steps: int = 6) -> TuningJob:
    return worlds.job(
        "description", worlds.examples("description", 100), lora_rank=rank, budget=Budget(steps), epochs=9
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return worlds.save_checkpoint(tmp_path_factory.mktemp("base"))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("rank", [0, 4])
def test_a_killed_training_ends_with_the_weights_of_one_left_alone(
    base: Path, tmp_path: Path, rank: int
) -> None:
    kept = tmp_path / "kept"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(base), str(tmp_path / "killed"), str(kept), str(rank)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "killed").exists()
    made: list[int] = []
    tuner = LoraTuner(str(base), device="cpu")
    resumed = tuner.tune(
        replace(job(rank), kept=kept), tmp_path / "resumed", lambda step, _: made.append(step)
    )
    whole = tuner.tune(job(rank), tmp_path / "whole")
    assert made == [4, 5, 6]  # killed in the fourth step, three were kept
    assert files(tmp_path / "resumed") == files(tmp_path / "whole")
    assert (resumed.steps, resumed.epochs) == (whole.steps, whole.epochs)


def kept_after(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: float) -> Path:
    monkeypatch.setattr(training_checkpoints, "EVERY", every)
    kept = tmp_path / "kept"
    LoraTuner(str(base), device="cpu").tune(replace(job(4), kept=kept), tmp_path / "into")
    return kept


def test_another_training_does_not_go_on_from_it(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = kept_after(base, tmp_path, monkeypatch, 0.0)
    made: list[int] = []
    other = replace(job(4), kept=kept, seed=1)
    LoraTuner(str(base), device="cpu").tune(other, tmp_path / "other", lambda step, _: made.append(step))
    assert made == [1, 2, 3, 4, 5, 6]


def test_a_checkpoint_that_was_not_finished_is_passed_over(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = kept_after(base, tmp_path, monkeypatch, 0.0)
    checkpoints = TrainingCheckpoints(kept)
    latest = checkpoints.latest()
    assert latest is not None
    assert latest.steps == 5  # the last step needs none
    (latest.path / WHOLE).unlink()
    assert checkpoints.latest().steps == 4
    made: list[int] = []
    again = replace(job(4), kept=kept)
    LoraTuner(str(base), device="cpu").tune(again, tmp_path / "again", lambda step, _: made.append(step))
    assert made == [5, 6]
    assert files(tmp_path / "again") == files(tmp_path / "into")


def test_a_short_training_keeps_nothing(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = kept_after(base, tmp_path, monkeypatch, training_checkpoints.EVERY)
    assert TrainingCheckpoints(kept).latest() is None
    assert [path.name for path in kept.iterdir()] == ["job"]
