"""Where a base checkpoint is: a folder, or a name of the Hugging Face hub that was downloaded before."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from freshet.backends.planners.libraries import LibraryErrors, may_download
from freshet.core.errors import ConfigError

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")

FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
"""What is downloaded of a checkpoint; weights in other formats, which run code or can't be read, are not."""


def find(base: str) -> Path:
    """The folder of a base checkpoint.

    Raises:
        ConfigError: there is none.
    """
    path = Path(base)
    if os.path.lexists(path):
        return _folder(path)
    if path.is_absolute() or not HUB_NAME.fullmatch(base):
        raise refusal(base, "there is no such folder")
    return of_hub(base, FILES, refusal, ignore=["*/*"])


def _folder(path: Path) -> Path:
    if path.is_dir():
        return path
    if path.suffix == ".gguf":
        raise refusal(path, "a GGUF file, which is not trained", gguf_hint(path.name))
    if path.is_file():
        raise refusal(path, "a file, expected a folder", f"{WANTED}; not one of the files in it")
    raise refusal(
        path, "a link that leads nowhere, or no folder", "repair the link, or name the folder itself"
    )


def gguf_hint(name: str) -> str:
    """What to do with a file of weights for llama.cpp."""
    return (
        f"name the folder of the checkpoint that {name} was made from (config.json and *.safetensors); "
        "or convert it (docs/how-to/checkpoints.md), though most are quantised and lose by it"
    )


def of_hub(
    name: str, files: Sequence[str], refuse: Callable[..., ConfigError], ignore: Sequence[str] = ()
) -> Path:
    """The local copy of a checkpoint of the hub; fetched only where the user allows it.

    Args:
        files, ignore: patterns of the files that are wanted, and of those among them that are not.
        refuse: makes an error of the name, what is wrong and, maybe, what to do.
    """
    from huggingface_hub import snapshot_download

    online = may_download()

    def absent(message: str) -> ConfigError:
        if online:
            return refuse(name, f"not a folder, and not to be had from the hub: {message}")
        return refuse(
            name,
            "no folder of the workspace, and no checkpoint of that name was downloaded to this machine",
            "name the folder of a checkpoint; or set HF_HUB_OFFLINE=0 in the environment, "
            "which lets Freshet download it from the Hugging Face hub",
        )

    with LibraryErrors(absent):
        found = snapshot_download(
            name, local_files_only=not online, allow_patterns=list(files), ignore_patterns=list(ignore)
        )
    return Path(found)


WANTED = "name the folder of a causal language model of transformers: config.json, *.safetensors, tokenizer"


def refusal(path: Path | str, what: str, hint: str = WANTED) -> ConfigError:
    """An error about a base checkpoint: the folder or file, what is wrong with it, and what to do."""
    return ConfigError(f"[planner] model can't be tuned: {path}: {what}", hint=hint)
