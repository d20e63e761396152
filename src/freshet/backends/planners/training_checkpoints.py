"""What a training keeps on disk while it goes on, so that one that was killed need not begin again."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

EVERY = 600.0
"""Seconds between two checkpoints. With all weights trained, one takes 12 bytes per weight and their time."""

KEPT = 2
"""Checkpoints kept: a process may die while it writes the latest."""

WHOLE, JOB = "whole", "job"
"""Files: the checkpoint beside it is complete; which training the folder belongs to."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A state that a training can go on from, after so many steps."""

    path: Path
    steps: int


@dataclass(frozen=True, slots=True)
class TrainingCheckpoints:
    """The checkpoints of one training in a folder of its own."""

    folder: Path

    @classmethod
    def at(cls, folder: Path, identity: object) -> TrainingCheckpoints:
        """Those of a training in a folder; what another training left there is removed.

        Args:
            folder: made where it is missing.
            identity: everything that decides the training, its text telling it from others.
        """
        import torch
        import transformers

        decides = repr((torch.__version__, transformers.__version__, identity))
        job = hashlib.sha256(decides.encode()).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / JOB).exists() or (folder / JOB).read_text(encoding="utf-8") != job:
            for path in folder.glob("checkpoint-*"):
                shutil.rmtree(path)
            (folder / JOB).write_text(job, encoding="utf-8")
        return cls(folder)

    def latest(self) -> Checkpoint | None:
        """The latest checkpoint that is complete."""
        found = [
            Checkpoint(path.parent, int(path.parent.name.rpartition("-")[2]))
            for path in self.folder.glob(f"checkpoint-*/{WHOLE}")
        ]
        return max(found, key=lambda checkpoint: checkpoint.steps, default=None)

    def callbacks(self) -> list[TrainerCallback]:
        """What makes a trainer of transformers write checkpoints here, every so many seconds."""
        from transformers import TrainerCallback
        from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

        folder = self.folder

        class Saved(TrainerCallback):
            def __init__(self) -> None:
                self.last = monotonic()

            def on_step_end(
                self,
                args: TrainingArguments,  # noqa: ARG002
                state: TrainerState,
                control: TrainerControl,
                **_: object,
            ) -> None:
                due = monotonic() - self.last >= EVERY
                control.should_save = due and state.global_step < state.max_steps

            def on_save(
                self,
                args: TrainingArguments,  # noqa: ARG002
                state: TrainerState,
                control: TrainerControl,  # noqa: ARG002
                **_: object,
            ) -> None:
                (folder / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}" / WHOLE).touch()
                self.last = monotonic()

        return [Saved()]
