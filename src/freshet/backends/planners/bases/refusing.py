"""How a base checkpoint is refused."""

from __future__ import annotations

from pathlib import Path

from freshet.core.errors import ConfigError

WANTED = "name the folder of a causal language model of transformers: config.json, *.safetensors, tokenizer"


def refusal(path: Path | str, what: str, hint: str = WANTED) -> ConfigError:
    """An error about a base checkpoint: the folder or file, what is wrong with it, and what to do."""
    return ConfigError(f"[planner] model can't be tuned: {path}: {what}", hint=hint)
