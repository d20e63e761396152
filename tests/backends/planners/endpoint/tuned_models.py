"""Small random checkpoints as `freshet finetune` would leave them, and what a server knows of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from freshet.backends.planners import model_folder
from freshet.backends.planners.bulk.plain import PlainReader
from freshet.backends.planners.lora import add_labels
from freshet.core.prompts import TEMPLATE
from tests.backends.planners import worlds

HEAD_DIM = 32
"""Narrower heads are refused by vLLM on a processor."""


def save_tuned(into: Path, mode: str, kind: str = "qwen3") -> Path:
    """A random model that writes descriptions or labels, as a complete model folder."""
    worlds.save_checkpoint(into, kind, head_dim=HEAD_DIM)
    model, tokenizer = model_folder.load(into, "cpu")
    if mode == "label":
        add_labels(model, tokenizer, worlds.interests())
    card = model_folder.Card("transformers", mode, "random", TEMPLATE, worlds.N, True)
    model_folder.save(model, tokenizer, card, into)
    return into


def next_tokens(folder: Path) -> Callable[[Sequence[int]], np.ndarray]:
    """(vocabulary,) log-probabilities of the next token after token ids."""
    model, _ = model_folder.load(folder, "cpu")
    plain = PlainReader(model, np.arange(model.config.vocab_size))

    @lru_cache(100_000)
    def of(text: tuple[int, ...]) -> np.ndarray:
        return plain.logits([text])[0][0].double().log_softmax(0).numpy()

    return lambda text: of(tuple(text))
