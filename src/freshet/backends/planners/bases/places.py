"""Where a base checkpoint is: a folder, or a name of the Hugging Face hub that was downloaded before."""

from __future__ import annotations

import os
import re
from pathlib import Path

from freshet.backends.planners.athome import may_download
from freshet.backends.planners.bases.refusing import WANTED, refusal
from freshet.backends.planners.foreign import Foreign
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
    return _of_hub(base)


def _folder(path: Path) -> Path:
    if path.is_dir():
        return path
    if path.suffix == ".gguf":
        raise refusal(path, "a GGUF file, which can be run but not tuned", _original(path))
    if path.is_file():
        raise refusal(path, "a file, expected a folder", f"{WANTED}; not one of the files in it")
    raise refusal(
        path, "a link that leads nowhere, or no folder", "repair the link, or name the folder itself"
    )


def _original(path: Path) -> str:
    return f"name the folder of the checkpoint that {path.name} was made from (config.json and *.safetensors)"


def _of_hub(name: str) -> Path:
    """The local copy of a checkpoint of the hub; fetched only where the user allows it."""
    from huggingface_hub import snapshot_download

    online = may_download()

    def absent(said: str) -> ConfigError:
        if online:
            return refusal(name, f"not a folder, and not to be had from the hub: {said}")
        return refusal(
            name,
            "no folder of the workspace, and no checkpoint of that name was downloaded to this machine",
            "name the folder of a checkpoint; or set HF_HUB_OFFLINE=0 in the environment, "
            "which lets Freshet download it from the Hugging Face hub",
        )

    with Foreign(absent):
        found = snapshot_download(
            name, local_files_only=not online, allow_patterns=FILES, ignore_patterns=["*/*"]
        )
    return Path(found)
