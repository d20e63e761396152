"""Checking and opening a base checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from freshet.backends.planners import model_folder
from freshet.backends.planners.base_model import checkpoint_config, sources, tokenizers, weights
from freshet.backends.planners.base_model.sources import WANTED, refusal
from freshet.backends.planners.decoder import max_positions, token_tables
from freshet.backends.planners.libraries import LibraryErrors, quiet
from freshet.core.ports import TuningJob, TuningPlan
from freshet.core.prompts import longest, names

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LOOK = 8
"""Tokens of the text that a loaded model is tried on."""


def check(base: str, plan: TuningPlan) -> PreTrainedModel:
    """Refuse a base checkpoint that can't be tuned to read and write this; no weights are loaded.

    Returns:
        The model without its weights.

    Raises:
        ConfigError: it can't; the message names the folder or file, what was expected and what to do.
    """
    found, tokenizer, model = _described(base)
    answer = tokenizers.check_names(found, tokenizer, plan.descriptions, plan.mode, _rows(model))
    known = tokenizers.by_length(tokenizer, names(plan.descriptions, plan.mode))
    prompt = longest(known, plan.k, plan.evidence_top)
    tokenizers.check_room(found, tokenizer, [prompt], answer, max_positions(model))
    return model


def load(base: str, job: TuningJob, device: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A base checkpoint (float32) and its tokenizer, fit for a job; labels are not added yet.

    Raises:
        ConfigError: it can't be tuned on this job.
    """
    found, tokenizer, sketch = _described(base)
    answer = tokenizers.check_names(found, tokenizer, job.interests.descriptions, job.mode, _rows(sketch))
    prompts: Sequence[str] = [example.prompt.text for example in job.examples]
    tokenizers.check_room(found, tokenizer, prompts, answer, max_positions(sketch))
    with LibraryErrors(lambda message: refusal(found, f"can't be opened: {message}", weights.WHOLE)):
        model, tokenizer = model_folder.opened(found, device)
    _try(found, model)
    return model, tokenizer


def _described(base: str) -> tuple[Path, PreTrainedTokenizerBase, PreTrainedModel]:
    """The folder of a checkpoint, its tokenizer, and its model without weights."""
    found = sources.find(base)
    content = checkpoint_config.declared(found)
    weights.files_of(found)
    model = weights.outline(found, checkpoint_config.configuration(found, content))
    return found, tokenizers.tokenizer_of(found, _rows(model)), model


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
