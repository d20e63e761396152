"""What a checkpoint is, by its configuration: a causal language model that transformers knows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freshet.backends.planners.base_model.sources import WANTED, gguf_hint, refusal
from freshet.backends.planners.libraries import LibraryErrors, quiet
from freshet.core.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

CONFIG, ADAPTER = "config.json", "adapter_config.json"

Content = Mapping[str, Any]


def content_of(path: Path) -> Content:
    """A JSON file of a checkpoint.

    Raises:
        ConfigError: it can't be read, or is no JSON object.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise refusal(path, "is no file", _again(path))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise refusal(path, f"can't be read as JSON: {error}", _again(path)) from None
    if not isinstance(content, dict):
        raise refusal(path, "holds no JSON object", _again(path))
    return content


def _again(path: Path) -> str:
    return f"copy or download {path.name} of this checkpoint again, or name another checkpoint"


def declared(folder: Path) -> Content:
    """The content of `config.json`, where it describes a model that can be tuned.

    Raises:
        ConfigError: it is missing or damaged, or describes something else.
    """
    try:
        files = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise refusal(folder, f"can't be listed: {error}", "let this user read the folder") from None
    if CONFIG not in files:
        raise _no_config(folder, files)
    content = content_of(folder / CONFIG)
    what = _wrong(content)
    if what:
        raise refusal(folder / CONFIG, *what)
    return content


def _no_config(folder: Path, files: list[str]) -> ConfigError:
    if not files:
        return refusal(folder, "the folder is empty")
    gguf = [name for name in files if name.endswith(".gguf")]
    if gguf:
        return refusal(
            folder,
            f"no {CONFIG}, only {gguf[0]}: GGUF files are not trained",
            gguf_hint(gguf[0]),
        )
    below = sorted([*folder.glob(f"*/{CONFIG}"), *folder.glob(f"snapshots/*/{CONFIG}")])
    hint = f"a folder in it holds one: did you mean {below[-1].parent}?" if below else WANTED
    return refusal(folder, f"no {CONFIG}, so it is no checkpoint of transformers", hint)


def _wrong(content: Content) -> tuple[str, str] | None:
    """What can be seen without transformers: what is wrong and what to do, or None."""
    packed = content.get("quantization_config") or content.get("quantization")
    if packed:
        how = packed.get("quant_method", "") if isinstance(packed, dict) else packed
        return (
            f"the weights are quantised{f' ({how})' if how else ''}, which can be run but not tuned here",
            "name the checkpoint it was quantised from, in float32, float16 or bfloat16",
        )
    senses = [name for name in ("vision_config", "audio_config") if content.get(name)]
    if senses:
        return f"it has a {senses[0]}: it reads more than text, expected a model of text alone", WANTED
    if content.get("is_encoder_decoder"):
        kind = content.get("model_type", "")
        return f"an encoder with a decoder ({kind}), expected a causal (decoder-only) language model", WANTED
    return None


def configuration(folder: Path, content: Content) -> PretrainedConfig:
    """The configuration as transformers reads it, of a causal language model.

    Raises:
        ConfigError: transformers doesn't know the model, or it is of another kind.
    """
    import transformers
    from transformers import CONFIG_MAPPING, AutoConfig
    from transformers.models.auto import modeling_auto as kinds

    path, kind = folder / CONFIG, content.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        if "auto_map" in content:
            what = "the model needs program code of its own (auto_map), and none of a checkpoint is ever run"
        else:
            what = f"model_type {kind!r} is not one that transformers {transformers.__version__} knows"
        raise refusal(path, what, f"{WANTED}; a newer transformers may know it")
    causal = _names(kinds.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind))
    if not causal:
        raise refusal(path, f"a {_architecture(content, kind)}, expected a causal language model", WANTED)
    masked = kind in kinds.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if masked and not content.get("is_decoder"):
        raise refusal(path, f"an encoder ({kind}), expected a causal (decoder-only) language model", WANTED)
    fitting = {*causal, *_names(kinds.MODEL_MAPPING_NAMES.get(kind))}  # a body alone may have a tied head
    saved = content.get("architectures")
    if isinstance(saved, list) and saved and not fitting & set(map(str, saved)):
        raise refusal(path, f"a {_architecture(content, kind)}, expected a {causal[0]}", WANTED)
    with (
        LibraryErrors(lambda message: refusal(path, f"transformers can't read it: {message}", _again(path))),
        quiet(),
    ):
        config: PretrainedConfig = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    return config


def _names(classes: str | Sequence[str] | None) -> tuple[str, ...]:
    return (classes,) if isinstance(classes, str) else tuple(classes or ())


def _architecture(content: Content, kind: str) -> str:
    """How a checkpoint calls itself."""
    saved = content.get("architectures")
    return str(saved[0]) if isinstance(saved, list) and saved else kind
