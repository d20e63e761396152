"""Fine-tuning of any Hugging Face causal language model, with LoRA or on all weights.

LoRA's low-rank updates are merged into the base weights before saving, so that every model folder opens and
runs the same way, whoever made it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from freshet.backends.planners import base_model, model_folder
from freshet.backends.planners.base_model.sources import refusal
from freshet.backends.planners.base_model.tokenizers import add_tokens
from freshet.backends.planners.decoder import token_tables
from freshet.backends.planners.fine_tuning import Recipe, fine_tune
from freshet.backends.planners.libraries import LibraryErrors, need_local, quiet
from freshet.backends.planners.local_planner import LocalPlanner, abilities_of, version_of
from freshet.backends.planners.model_folder import torch_module
from freshet.core.errors import ConfigError
from freshet.core.ports import Abilities, Planner, Progress, Tuner, TuningJob, TuningPlan, silent
from freshet.core.prompts import names
from freshet.core.types import Interests, TuningReport

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CODE = 1
"""Raised when the same job gives other weights."""

EPOCHS, BATCH = 3.0, 64
LORA_RATE, FULL_RATE = 5e-4, 1e-4

PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "safetensors")


class LoraTuner(Tuner):
    """Fine-tunes a checkpoint: LoRA if `job.lora_rank` > 0, else all weights.

    Args:
        base: folder of a causal language model, or its name on the hub if it was downloaded before.
        device: `auto`, `cpu`, `cuda`.
        beam: passed to the planner that `open` makes.
        called: what cards and reports call the checkpoint, such as its path as the settings give it: where
            a workspace lies is no part of a model. '' = `base`.
    """

    def __init__(self, base: str, device: str = "auto", beam: int = 16, called: str = "") -> None:
        self.base = base
        self.called = called or base
        self.device = device
        self.beam = beam

    @property
    def recipe(self) -> str:
        """Of a folder its bytes count; a name on a hub stands for the same weights."""
        if not Path(self.base).is_absolute():
            return f"lora {CODE} {self.base}"
        return f"lora {CODE} {model_folder.content(Path(self.base))}" if Path(self.base).is_dir() else ""

    def check(self, plan: TuningPlan) -> None:
        need_local(*PACKAGES)
        model_folder.resolve_device(self.device)
        model = base_model.check(self.base, plan)
        if plan.lora_rank:
            self._check_lora(model, plan)

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        need_local(*PACKAGES)
        model, tokenizer = base_model.load(self.base, job, self.device)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        if job.mode == "label":
            add_labels(model, tokenizer, job.interests)
        recipe = Recipe(
            epochs=job.epochs or EPOCHS,
            learning_rate=job.learning_rate or (LORA_RATE if job.lora_rank else FULL_RATE),
            batch_size=job.batch_size or BATCH,
        )
        lora = lora_config(job.lora_rank, job.mode, model) if job.lora_rank else None
        trained, report = fine_tune(model, tokenizer, job, recipe, progress, self.called, lora)
        if lora is not None:
            trained = cast("PeftModel", trained).merge_and_unload()
        card = model_folder.Card(
            "transformers", job.mode, self.called, job.template, len(job.interests), world_knowledge=True
        )
        model_folder.save(trained, tokenizer, card, into)
        return report

    def _check_lora(self, model: PreTrainedModel, plan: TuningPlan) -> None:
        """Put LoRA on a model without weights, which not every architecture allows."""
        from peft import get_peft_model

        def unfit(message: str) -> ConfigError:
            return refusal(
                self.base,
                f"LoRA does not go with a model of type {model.config.model_type}: {message}",
                "[tuning] lora_rank = 0 trains all weights, or name another checkpoint",
            )

        with LibraryErrors(unfit), quiet():
            get_peft_model(model, lora_config(plan.lora_rank, plan.mode, model), low_cpu_mem_usage=True)

    def version(self, model: Path, interests: Interests) -> str:
        return version_of(model, interests, self.beam)

    def abilities(self, model: Path, interests: Interests) -> Abilities:  # noqa: ARG002
        return abilities_of(model_folder.read_card(model))

    def open(self, model: Path, interests: Interests) -> Planner:
        return LocalPlanner(model, interests, beam=self.beam, device=self.device)


def lora_config(rank: int, mode: str, model: PreTrainedModel) -> LoraConfig:
    """Low-rank updates of every linear layer; in label mode the token tables too, for the new rows."""
    from peft import LoraConfig

    tables = {id(table) for table in token_tables(model)}
    modules = torch_module(model).named_modules(remove_duplicate=False)
    with_rows = [name for name, module in modules if id(getattr(module, "weight", None)) in tables]
    return LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.05,
        target_modules="all-linear",
        modules_to_save=with_rows if mode == "label" else None,
        ensure_weight_tying=mode == "label",
        task_type="CAUSAL_LM",
    )


def add_labels(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, interests: Interests) -> None:
    """Add one token per interest, starting at the mean of the embeddings of its description's tokens.

    So a label means to the base model, before any training, about what the description means.
    """
    import torch

    meanings = tokenizer(list(interests.descriptions), add_special_tokens=False)["input_ids"]
    labels = names(interests.descriptions, "label")
    needed = add_tokens(tokenizer, labels)
    if needed > len(token_tables(model)[0]):  # checkpoints often have spare rows
        model.resize_token_embeddings(needed, mean_resizing=False)
    with torch.no_grad():
        for table in token_tables(model):
            for label, meaning in zip(labels, meanings, strict=True):
                table[tokenizer.convert_tokens_to_ids(label)] = table[meaning].mean(dim=0)
