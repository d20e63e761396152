"""Supervised fine-tuning with TRL: prompt and completion as tokens, loss on the completion only."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from freshet.backends.planners import tokenisation
from freshet.backends.planners.decoder import DecoderCost, threads_for
from freshet.backends.planners.libraries import quiet
from freshet.backends.training_clock import TrainingClock
from freshet.core.errors import NotEnoughData
from freshet.core.ports import Progress, TuningJob
from freshet.core.types import TuningReport, Usage

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import (
        PreTrainedModel,
        PreTrainedTokenizerBase,
        TrainerCallback,
    )
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


def fine_tune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    job: TuningJob,
    recipe: Recipe,
    progress: Progress,
    base: str,
    lora: LoraConfig | None = None,
) -> tuple[PreTrainedModel, TuningReport]:
    """Train on the job's examples; returns the model (wrapped by PEFT if `lora` is given) and the report.

    The order of examples and every initialisation follow `job.seed`. Training ends after the recipe's
    epochs, or where `job.budget` says.
    """
    from transformers import PrinterCallback
    from trl.trainer.sft_trainer import SFTTrainer

    rows = _rows(tokenizer, job)
    size = len(rows["input_ids"])
    steps = job.budget.of(math.ceil(recipe.epochs * math.ceil(size / recipe.batch_size)))
    clock = TrainingClock(job.budget)
    with quiet(), threads_for(model), tempfile.TemporaryDirectory() as scratch_folder:
        trainer = SFTTrainer(
            model=model,
            args=_settings(model, recipe, steps, job.seed, scratch_folder),
            train_dataset=_dataset(rows),
            processing_class=tokenizer,
            callbacks=[_counted(clock, progress)],
            peft_config=lora,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    trained = trainer.accelerator.unwrap_model(trainer.model)
    epochs = float(trainer.state.epoch or 0.0)
    losses = tuple(round(float(entry["loss"]), 4) for entry in trainer.state.log_history if "loss" in entry)
    return trained, TuningReport(
        len(job.examples),
        epochs,
        losses,
        _usage(DecoderCost.of(trained), rows, epochs),
        base,
        steps=clock.steps,
        stopped_after=clock.stopped_after,
    )


def _settings(model: PreTrainedModel, recipe: Recipe, steps: int, seed: int, folder: str) -> SFTConfig:
    """How TRL is to train: nothing reported, saved or shown, the loss logged about twenty times."""
    from trl.trainer.sft_config import SFTConfig

    return SFTConfig(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=recipe.batch_size,
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
        activation_checkpointing=False,
        bf16=False,
        use_cpu=model.device.type == "cpu",
        train_sampling_strategy="group_by_length",
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        logging_steps=max(1, steps // 20),
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True},
    )


def _rows(tokenizer: PreTrainedTokenizerBase, job: TuningJob) -> dict[str, list[list[int]]]:
    """Columns for the trainer: tokens, labels with the prompt ignored, and the mask older TRL reads."""
    if not job.examples:
        raise NotEnoughData("no examples to fine-tune on", hint="import a longer log")
    prompts = tokenisation.prompt_tokens(tokenizer, [example.prompt.text for example in job.examples])
    distinct = sorted({example.completion for example in job.examples})
    tokens = dict(zip(distinct, tokenisation.completion_tokens(tokenizer, distinct), strict=True))
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


def _usage(cost: DecoderCost, rows: dict[str, list[list[int]]], epochs: float) -> Usage:
    lengths = np.array([len(ids) for ids in rows["input_ids"]], np.float64)
    scored = sum(sum(mask) for mask in rows["completion_mask"])
    tokens = float(lengths.sum())
    before = float((lengths * (lengths + 1) / 2).sum() / tokens)
    return Usage(
        round(tokens * epochs),
        cost.training(round(tokens * epochs), before, round(scored * epochs)),
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
