"""Checking and opening a base checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from freshet.backends.planners import model_folder
from freshet.backends.planners.base_model import adapters, checkpoint_config, tokenizers, weights
from freshet.backends.planners.base_model.sources import WANTED, refusal
from freshet.backends.planners.base_model.tokenizers import Chat
from freshet.backends.planners.decoder import max_positions, token_tables
from freshet.backends.planners.libraries import LibraryErrors, quiet
from freshet.backends.planners.tokenisation import Tokenisation
from freshet.core.ports import TuningJob, TuningPlan
from freshet.core.prompts import longest, names
from freshet.core.types import Prompt

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

LOOK = 8
"""Tokens of the text that a loaded model is tried on."""


@dataclass(frozen=True, slots=True)
class Described:
    """A base checkpoint before its weights are loaded.

    Attributes:
        base: where it is.
        words: how text becomes its tokens.
        model: on the device meta: shapes without content.
        rows: of its embeddings, before labels are added.
        tokens: of the longest prompt that the settings allow, with the answer; 0 where that is not known.
    """

    base: adapters.Base
    words: Tokenisation
    model: PreTrainedModel
    rows: int
    tokens: int = 0


def check(base: str, plan: TuningPlan, chat: Chat = "auto") -> Described:
    """Refuse a base checkpoint that can't be tuned to read and write this; no weights are loaded.

    Args:
        base: folder or name of the checkpoint.
        plan: what is asked of it.
        chat: whether prompts go through its chat template; auto = where it has one.

    Returns:
        What it is.

    Raises:
        ConfigError: it can't; the message names the folder or file, what was expected and what to do.
    """
    found = described(base, chat)
    words, folder = found.words, found.base.named
    answer = tokenizers.check_names(folder, words, plan.descriptions, plan.mode, found.rows)
    known = tokenizers.by_length(words.tokenizer, names(plan.descriptions, plan.mode))
    prompt = Prompt((), longest(known, plan.k, plan.evidence_top))
    tokens = tokenizers.check_room(folder, words, [prompt], answer, max_positions(found.model))
    return replace(found, tokens=tokens)


def prepared(base: str, job: TuningJob, chat: Chat = "auto") -> Described:
    """As `check`, for a job with its prompts.

    Raises:
        ConfigError: the checkpoint can't be tuned on this job.
    """
    found = described(base, chat)
    folder = found.base.named
    answer = tokenizers.check_names(folder, found.words, job.interests.descriptions, job.mode, found.rows)
    prompts = [example.prompt for example in job.examples]
    tokens = tokenizers.check_room(folder, found.words, prompts, answer, max_positions(found.model))
    return replace(found, tokens=tokens)


def load(
    known: Described, device: str, dtype: torch.dtype | None = None
) -> tuple[PreTrainedModel, Tokenisation]:
    """The model of a base checkpoint, and how text becomes its tokens; labels are not added to either.

    Args:
        known: what it is.
        device: `auto`, `cpu`, `cuda`.
        dtype: of its weights in memory; None = float32.

    Raises:
        ConfigError: its weights can't be used.
    """
    import torch

    found, folder = known.base, known.base.named
    with LibraryErrors(lambda message: refusal(folder, f"can't be opened: {message}", weights.WHOLE)):
        model, tokenizer = model_folder.opened(found.whole, device, dtype or torch.float32, found.tokenizer)
    model = model_folder.place(adapters.merged(found, model, str(model.device)), device)
    _try(folder, model)
    return model, Tokenisation.of(tokenizer, known.words.chat is not None)


def described(base: str, chat: Chat = "auto") -> Described:
    """What a checkpoint is, by all but its weights.

    Raises:
        ConfigError: it is no checkpoint that can be tuned.
    """
    found = adapters.find(base)
    content = checkpoint_config.declared(found.whole)
    weights.files_of(found.whole)
    config = checkpoint_config.configuration(found.whole, content)
    if found.adapter is not None:
        adapters.check(found, weights.outline(found.whole, config))
    model = weights.outline(found.whole, config)
    tokenizer = tokenizers.tokenizer_of(found.tokenizer, _rows(model))
    return Described(found, tokenizers.worded(found.tokenizer, tokenizer, chat), model, _rows(model))


def _rows(model: PreTrainedModel) -> int:
    """Tokens that a model has embeddings for."""
    return min(len(table) for table in token_tables(model))


def _try(found: Path, model: PreTrainedModel) -> None:
    """Look whether all numbers are finite, and that no token is read before its turn."""
    import torch

    broken = model_folder.not_finite(model)
    if broken:
        raise refusal(found, f"{broken} holds numbers that are not finite", weights.WHOLE)
    text = torch.arange(min(LOOK, max_positions(model) or LOOK), device=model.device) % _rows(model)
    other = text.clone()
    other[-1] = text[0]
    with (
        LibraryErrors(lambda message: refusal(found, f"it can't be run: {message}")),
        quiet(),
        torch.no_grad(),
    ):
        first, second = (model(input_ids=row[None]).logits[0, :-1] for row in (text, other))
    if not torch.isfinite(first).all():
        raise refusal(found, "what it computes is not finite", weights.WHOLE)
    if not torch.allclose(first, second, rtol=0, atol=1e-3 * float(first.abs().max())):
        raise refusal(found, "it reads ahead: what follows a token changes what it says there", WANTED)
