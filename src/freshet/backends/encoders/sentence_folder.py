"""The folder of a sentence encoder: a model of transformers, and how its token vectors become one vector.

Folders written by sentence-transformers say so in `modules.json`, `1_Pooling/config.json` and
`sentence_bert_config.json`; any other folder is read as a plain model whose token vectors are averaged. What
such a folder asks for and is not done here is refused: other vectors than those it was trained to give are
worth little, and nothing would show it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freshet.backends.planners.base_model.sources import HUB_NAME, of_hub
from freshet.backends.planners.libraries import need_local
from freshet.core.errors import ConfigError
from freshet.storage.checksums import remembered, sha256

FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
"""What is read of a folder, and downloaded of a checkpoint; patterns match in folders within it, too."""

POOLINGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
}
"""How sentence-transformers says which pooling is used: exactly one of its keys is true."""

WANTED = "name the folder of a sentence encoder of transformers: config.json, *.safetensors, tokenizer"

INSTEAD = '[content] encoder = "tfidf"'
"""What does without the packages of this one."""

CODE = 1
"""Raised when texts become other vectors by the same files."""


def refusal(path: Path | str, what: str, hint: str = WANTED) -> ConfigError:
    """An error about a sentence encoder: the folder or file, what is wrong with it, and what to do."""
    return ConfigError(f"[content] model can't encode: {path}: {what}", hint=hint)


@dataclass(frozen=True, slots=True)
class SentenceFolder:
    """How a folder's model encodes.

    Attributes:
        model: folder of the model and its tokenizer.
        pooling: `mean`, `cls` (the first token) or `lasttoken`.
        longest: tokens read of a text at most, where the folder says so beside the model's own limit.
        lower: whether texts are put into small letters first.
        prompt: what is put before every text.
        version: of all files that are read, by their bytes.
    """

    model: Path
    pooling: str
    longest: int | None
    lower: bool
    prompt: str
    version: str


def find(model: str) -> SentenceFolder:
    """The encoder in a folder, or of the hub where it was downloaded.

    Raises:
        ConfigError: there is none, or it needs what is not done here.
    """
    path = Path(model)
    if path.is_dir():
        return _described(path)
    if os.path.lexists(path):
        raise refusal(path, "no folder, or a link that leads nowhere")
    if path.is_absolute() or not HUB_NAME.fullmatch(model):
        raise refusal(model, "there is no such folder")
    need_local("huggingface_hub", instead=INSTEAD)
    return _described(of_hub(model, FILES, refusal))


def _described(folder: Path) -> SentenceFolder:
    part, pooling, prompt = _modules(folder)
    body = folder / part
    if not (body / "config.json").is_file():
        raise refusal(body, "no config.json, so it is no checkpoint of transformers")
    if not any(body.glob("*.safetensors")):
        raise refusal(
            body,
            "no *.safetensors: weights in other formats run code when they are opened",
            "convert them where you trust their origin: AutoModel.from_pretrained(folder)"
            ".save_pretrained(another folder), and save the tokenizer there too",
        )
    sentences = _optional(body / "sentence_bert_config.json")
    longest = sentences.get("max_seq_length")
    return SentenceFolder(
        model=body,
        pooling=pooling,
        longest=longest if type(longest) is int and longest > 0 else None,
        lower=sentences.get("do_lower_case") is True,
        prompt=prompt,
        version=_version(folder),
    )


def _modules(folder: Path) -> tuple[str, str, str]:
    """Where the model lies in the folder, its pooling, and what is put before texts."""
    if not (folder / "modules.json").is_file():
        return "", _pooling(folder / "1_Pooling" / "config.json"), ""
    body, pooling = "", "mean"
    for module in _json(folder / "modules.json", list):
        kind = str(module.get("type", "")).rpartition(".")[2] if isinstance(module, dict) else ""
        where = str(module.get("path", "")) if isinstance(module, dict) else ""
        if ".." in Path(where).parts or Path(where).is_absolute():
            raise refusal(folder / "modules.json", f"names a module outside of the folder: {where!r}")
        if kind == "Transformer":
            body = where
        elif kind == "Pooling":
            pooling = _pooling(folder / where / "config.json", needed=True)
        elif kind != "Normalize":  # rows have length one in any case
            raise refusal(
                folder / "modules.json",
                f"a module {kind!r}, which is not computed here: expected Transformer, Pooling, Normalize",
                'name another sentence encoder, or serve this one and use encoder = "openai"',
            )
    return body, pooling, _prompt(folder)


def _pooling(path: Path, needed: bool = False) -> str:
    """The pooling that a file names; the mean where there is none and none is needed."""
    settings = _json(path, dict) if needed else _optional(path)
    if isinstance(settings.get("pooling_mode"), str):  # as newer versions write it
        chosen = [settings["pooling_mode"]]
    else:
        chosen = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value is True]
    named = [POOLINGS.get(mode, mode) for mode in chosen] or ["mean"]
    if len(named) > 1 or named[0] not in POOLINGS.values():
        raise refusal(
            path,
            f"asks for the pooling {' and '.join(named)}, expected one of {', '.join(POOLINGS.values())}",
            'name another sentence encoder, or serve this one and use encoder = "openai"',
        )
    return str(named[0])


def _prompt(folder: Path) -> str:
    """The prompt that is put before texts unless somebody asks for another; '' = none."""
    settings = _optional(folder / "config_sentence_transformers.json")
    prompts, name = settings.get("prompts"), settings.get("default_prompt_name")
    found = prompts.get(name, "") if isinstance(prompts, dict) else ""
    return found if isinstance(found, str) else ""


def _optional(path: Path) -> Mapping[str, Any]:
    return _json(path, dict) if path.exists() else {}


def _json(path: Path, kind: type) -> Any:
    """Content of a JSON file.

    Raises:
        ConfigError: it can't be read, or holds something else than a `kind`.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise refusal(path, f"can't be read as JSON: {error}", "copy or download it again") from None
    if not isinstance(content, kind):
        raise refusal(path, "does not hold what is expected there", "copy or download it again")
    return content


def _version(folder: Path) -> str:
    """Of names and bytes of all files that may be read, also in the folders of modules."""
    found = (path for pattern in FILES for deep in (pattern, f"*/{pattern}") for path in folder.glob(deep))
    try:
        listed = [
            f"{path.relative_to(folder).as_posix()} {remembered(path, sha256)}"
            for path in sorted(set(found))
            if path.is_file()
        ]
    except OSError as error:
        raise refusal(folder, f"can't be read: {error}", "let this user read the folder") from None
    digest = hashlib.sha256("\n".join([str(CODE), *listed]).encode()).hexdigest()
    return f"transformers-{digest[:16]}"
