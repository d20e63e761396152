"""Supervised fine-tuning with TRL: prompt and completion as tokens, loss on the completion only."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freshet.backends.planners.decoder import DecoderCost, threads_for
from freshet.backends.planners.libraries import quiet
from freshet.backends.planners.tokenisation import Tokenisation
from freshet.backends.planners.training_checkpoints import KEPT, TrainingCheckpoints
from freshet.backends.training_clock import TrainingClock
from freshet.core.errors import NotEnoughData
from freshet.core.ports import Progress, TuningJob
from freshet.core.types import TuningReport, Usage

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import PreTrainedModel, TrainerCallback
    from trl.trainer.sft_config import SFTConfig

IGNORED = -100
"""Label of a token that takes no part in the loss."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train, all decided: epochs, peak learning rate, share of warm-up steps, weight decay."""

    epochs: float
    learning_rate: float
    warmup: float = 0.05
    weight_decay: float = 0.01
    batch_size: int = 64


@dataclass(frozen=True, slots=True)
class Execution:
    """How a machine carries a training out, which decides its time and memory, and no more than rounding.

    Attributes:
        micro_batch: sequences read at once, a divisor of the batch size; 0 = the whole batch.
        checkpointing: layers are computed anew for the backward pass instead of kept.
        low: matrices are multiplied in bfloat16.
    """

    micro_batch: int = 0
    checkpointing: bool = False
    low: bool = False


def fine_tune(
    model: PreTrainedModel,
    words: Tokenisation,
    job: TuningJob,
    recipe: Recipe,
    progress: Progress,
    base: str,
    lora: LoraConfig | None = None,
    execution: Execution = Execution(),
) -> tuple[PreTrainedModel, TuningReport]:
    """Train on the job's examples; returns the model (wrapped by PEFT if `lora` is given) and the report.

    The order of examples and every initialisation follow `job.seed`. Training ends after the recipe's
    epochs, or where `job.budget` says. Where `job.kept` names a folder, what was trained so far is kept
    there from time to time, and a training that was killed goes on from it.
    """
    from transformers import PrinterCallback
    from trl.trainer.sft_trainer import SFTTrainer

    rows = _rows(words, job)
    size = len(rows["input_ids"])
    steps = job.budget.of(math.ceil(recipe.epochs * math.ceil(size / recipe.batch_size)))
    clock = TrainingClock(job.budget)
    with quiet(), threads_for(model), tempfile.TemporaryDirectory() as scratch_folder:
        identity = (rows, recipe, execution, steps, job.seed, base, str(lora))
        saved = TrainingCheckpoints.at(job.kept or Path(scratch_folder), identity)
        trainer = SFTTrainer(
            model=model,
            args=_settings(model, recipe, execution, steps, job.seed, saved.folder),
            train_dataset=_dataset(rows),
            processing_class=words.tokenizer,
            callbacks=[_counted(clock, progress), *(saved.callbacks() if job.kept is not None else [])],
            peft_config=lora,
        )
        trainer.remove_callback(PrinterCallback)
        latest = saved.latest()
        clock.steps = 0 if latest is None else latest.steps
        trainer.train(resume_from_checkpoint=None if latest is None else str(latest.path))
    trained = trainer.accelerator.unwrap_model(trainer.model)
    epochs = float(trainer.state.epoch or 0.0)
    losses = tuple(round(float(entry["loss"]), 4) for entry in trainer.state.log_history if "loss" in entry)
    return trained, TuningReport(
        len(job.examples),
        epochs,
        losses,
        _usage(DecoderCost.of(trained), rows, epochs, frozen=lora is not None),
        base,
        steps=clock.steps,
        stopped_after=clock.stopped_after,
    )


def _settings(
    model: PreTrainedModel, recipe: Recipe, execution: Execution, steps: int, seed: int, folder: Path
) -> SFTConfig:
    """How TRL is to train: nothing reported or shown, saved when we say so, the loss logged twenty times."""
    from trl.trainer.sft_config import SFTConfig

    micro = execution.micro_batch or recipe.batch_size
    known = {one.name for one in fields(SFTConfig)}
    named = "activation_checkpointing"
    if named not in known:
        named = "gradient_checkpointing"  # up to transformers 5.19, which vLLM 0.32 asks for
    recomputed: dict[str, Any] = {named: execution.checkpointing}
    return SFTConfig(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=recipe.batch_size // micro,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, round(recipe.warmup * steps)),
        weight_decay=recipe.weight_decay,
        adam_beta2=0.98,
        max_grad_norm=1.0,
        seed=seed,
        data_seed=seed,
        max_length=None,
        packing=False,
        **recomputed,
        bf16=execution.low,
        use_cpu=model.device.type == "cpu",
        train_sampling_strategy="group_by_length",
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        logging_steps=max(1, steps // 20),
        save_strategy="no",
        save_total_limit=KEPT,
        report_to=[],
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True},
    )


def _rows(words: Tokenisation, job: TuningJob) -> dict[str, list[list[int]]]:
    """Columns for the trainer: tokens, labels with the prompt ignored, and the mask older TRL reads."""
    if not job.examples:
        raise NotEnoughData("no examples to fine-tune on", hint="import a longer log")
    prompts = words.prompts([example.prompt for example in job.examples])
    distinct = sorted({example.completion for example in job.examples})
    tokens = dict(zip(distinct, words.completions(distinct), strict=True))
    completions = [tokens[example.completion] for example in job.examples]
    pairs = list(zip(prompts, completions, strict=True))
    return {
        "input_ids": [prompt + completion for prompt, completion in pairs],
        "labels": [[IGNORED] * len(prompt) + completion for prompt, completion in pairs],
        "completion_mask": [[0] * len(prompt) + [1] * len(completion) for prompt, completion in pairs],
    }


def _dataset(rows: dict[str, list[list[int]]]) -> Dataset:
    from datasets import Dataset

    return Dataset.from_dict(rows)


def _usage(cost: DecoderCost, rows: dict[str, list[list[int]]], epochs: float, frozen: bool) -> Usage:
    lengths = np.array([len(ids) for ids in rows["input_ids"]], np.float64)
    scored = sum(sum(mask) for mask in rows["completion_mask"])
    tokens = float(lengths.sum())
    before = float((lengths * (lengths + 1) / 2).sum() / tokens)
    return Usage(
        round(tokens * epochs),
        cost.training(round(tokens * epochs), before, round(scored * epochs), frozen),
    )


def _counted(clock: TrainingClock, progress: Progress) -> TrainerCallback:
    """A callback that reports steps and ends training where the clock says so."""
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

    class Counted(TrainerCallback):
        def on_step_end(
            self,
            args: TrainingArguments,  # noqa: ARG002
            state: TrainerState,
            control: TrainerControl,
            **_: object,
        ) -> None:
            progress(state.global_step, state.max_steps)
            if clock.ends(state.global_step < state.max_steps):
                control.should_training_stop = True
                control.should_log = True

    return Counted()
