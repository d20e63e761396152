"""Fine-tuning of any Hugging Face causal language model, with LoRA or on all weights.

LoRA's low-rank updates are merged into the base weights before saving, so that every model folder opens and
runs the same way, whoever made it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from freshet.backends.planners import base_model, model_folder
from freshet.backends.planners.base_model import adapters
from freshet.backends.planners.base_model.loading import Described
from freshet.backends.planners.base_model.sources import refusal
from freshet.backends.planners.base_model.tokenizers import Chat, add_tokens
from freshet.backends.planners.decoder import token_tables
from freshet.backends.planners.fine_tuning import Recipe, fine_tune
from freshet.backends.planners.libraries import LibraryErrors, need_local, quiet
from freshet.backends.planners.local_planner import LocalPlanner, abilities_of, version_of
from freshet.backends.planners.model_folder import torch_module
from freshet.backends.planners.training_fit import AS_IT_FITS, Fit, Wishes, fit
from freshet.core.errors import ConfigError, FreshetError
from freshet.core.ports import Abilities, Planner, Progress, Tuner, TuningJob, TuningPlan, silent
from freshet.core.prompts import names
from freshet.core.types import Interests, TuningReport

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CODE = 2
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
        wishes: how to train, as far as the settings say.
        chat: whether prompts go through the checkpoint's chat template; auto = where it has one.
        called: what cards and reports call the checkpoint, such as its path as the settings give it: where
            a workspace lies is no part of a model. '' = `base`.
    """

    def __init__(
        self,
        base: str,
        device: str = "auto",
        beam: int = 16,
        called: str = "",
        wishes: Wishes = AS_IT_FITS,
        chat: Chat = "auto",
    ) -> None:
        self.base = base
        self.called = called or base
        self.device = device
        self.beam = beam
        self.wishes = wishes
        self.chat = chat

    @property
    def recipe(self) -> str:
        """Of a folder its bytes count, of an adapter its base's too; a name on a hub stands for its own."""
        how = f"lora {CODE} {self.wishes.precision} {self.chat}"
        if not Path(self.base).is_absolute():
            return f"{how} {self.base}"
        try:
            folders = adapters.find(self.base).folders
        except FreshetError:  # it is gone, or something is wrong with it that the check will tell
            folders = [Path(self.base)]
        if not all(folder.is_dir() for folder in folders):
            return ""
        return " ".join([how, *map(model_folder.content, folders)])

    def check(self, plan: TuningPlan) -> None:
        need_local(*PACKAGES)
        model_folder.resolve_device(self.device)
        found = base_model.check(self.base, plan, self.chat)
        if plan.lora_rank:
            self._check_lora(found.model, plan)

    def forecast(self, plan: TuningPlan) -> str:
        need_local(*PACKAGES)
        found = base_model.check(self.base, plan, self.chat)
        rows = len(plan.descriptions) if plan.mode == "label" else 0
        return str(self.fitted(found, plan.batch_size, rows, plan.lora_rank, plan.mode))

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        need_local(*PACKAGES)
        import torch

        known = base_model.prepared(self.base, job, self.chat)
        rows = len(job.interests) if job.mode == "label" else 0
        how = self.fitted(known, job.batch_size, rows, job.lora_rank, job.mode).execution
        frozen = torch.bfloat16 if how.low and job.lora_rank else torch.float32
        model, words = base_model.load(known, self.device, frozen)
        tokenizer = words.tokenizer
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
        trained, report = fine_tune(model, words, job, recipe, progress, self.called, lora, how)
        if lora is not None:
            trained = cast("PeftModel", trained).merge_and_unload()
        if how.low:
            trained = cast("PreTrainedModel", torch_module(trained).to(torch.bfloat16))
        card = model_folder.Card(
            "transformers",
            job.mode,
            self.called,
            job.template,
            len(job.interests),
            world_knowledge=True,
            chat=words.chat is not None,
        )
        model_folder.save(trained, tokenizer, card, into)
        return report

    def fitted(self, found: Described, batch: int, labels: int, rank: int, mode: str) -> Fit:
        """How a training is carried out on this machine, and the memory that it takes.

        Args:
            found: the checkpoint, with the tokens of its longest prompt and answer.
            batch: examples of a step of the optimiser; 0 = 64.
            labels: tokens that are added.
            rank: of the updates; 0 = all weights are trained.
            mode: `description` or `label`.

        Raises:
            ConfigError: it can't be.
        """

        def sketch() -> tuple[PreTrainedModel, LoraConfig | None]:
            model = outlined(found.model, labels)
            return model, lora_config(rank, mode, model) if rank else None

        return fit(sketch, batch or BATCH, found.tokens, self.wishes, self.device)

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


def outlined(model: PreTrainedModel, labels: int) -> PreTrainedModel:
    """Another model of the same shapes, on the device meta, with rows for so many labels."""
    import torch
    from transformers import AutoModelForCausalLM

    with quiet(), torch.device("meta"):
        made: PreTrainedModel = AutoModelForCausalLM.from_config(model.config)  # type: ignore[no-untyped-call]
        if labels:
            made.resize_token_embeddings(len(token_tables(made)[0]) + labels, mean_resizing=False)
    return made


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
