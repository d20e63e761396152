"""Whether a checkpoint's weights are all there and of the shapes that its configuration gives.

Only the headers of safetensors files are read: names, types and shapes of tensors.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from freshet.backends.planners.base_model.checkpoint_config import CONFIG, content_of
from freshet.backends.planners.base_model.sources import refusal
from freshet.backends.planners.libraries import LibraryErrors, quiet

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

ONE, INDEX = "model.safetensors", "model.safetensors.index.json"

OTHERS = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf")
"""Endings of weights in formats that are not read: pickles run code when opened, others can't be trained."""

FLOATS = ("F64", "F32", "F16", "BF16")

LAYER = re.compile(r"\.\d+\.")
"""The number of a layer, in a parameter's name."""

WHOLE = "copy or download the checkpoint again into a folder of its own, or name another one"


def files_of(folder: Path) -> list[Path]:
    """The files that hold the weights, each with a header that goes with its length.

    Raises:
        ConfigError: one is missing or damaged, or the weights are in another format.
    """
    if (folder / ONE).exists():
        found = [folder / ONE]
    elif (folder / INDEX).exists():
        listed = content_of(folder / INDEX).get("weight_map")
        if not isinstance(listed, dict) or not listed:
            raise refusal(folder / INDEX, "lists no weights (weight_map)", WHOLE)
        found = [folder / str(name) for name in sorted(set(map(str, listed.values())))]
    else:
        raise _no_weights(folder)
    for path in found:
        check_header(path)
    return found


def _no_weights(folder: Path) -> Exception:
    others = sorted(path.name for path in folder.iterdir() if path.suffix in OTHERS)
    if others:
        return refusal(
            folder,
            f"the weights are in {others[0]}, expected {ONE}: other formats run code when opened or "
            "can't be trained",
            "convert them where you trust their origin: AutoModelForCausalLM.from_pretrained(folder)"
            ".save_pretrained(another folder), and save the tokenizer there too",
        )
    return refusal(folder, f"no weights: neither {ONE} nor {INDEX}", WHOLE)


def check_header(path: Path) -> None:
    """Refuse a file of weights that is missing, cut short, or holds quantised ones.

    Raises:
        ConfigError: it can't be used; the message names the file.
    """
    if not path.is_file():
        raise refusal(path, "is no file" if path.exists() else f"missing, though {INDEX} names it", WHOLE)
    if _is_pointer(path):
        raise refusal(path, "only a pointer of Git LFS, not the weights", "`git lfs pull` there")
    packed = [(n, kind) for n, kind in tensors(path) if n.endswith("weight") and kind not in FLOATS]
    if packed:
        name, kind = packed[0]
        raise refusal(
            path,
            f"{name} is of type {kind}, expected a float of 16 bits or more: the weights are quantised",
            "name the checkpoint it was quantised from",
        )


def tensors(path: Path) -> list[tuple[str, str]]:
    """Name and type of each tensor in a file, from its header.

    Raises:
        ConfigError: the header is damaged.
    """
    from safetensors import safe_open

    damaged = LibraryErrors(lambda message: refusal(path, f"damaged or cut short: {message}", WHOLE))
    with damaged, safe_open(path, framework="np") as file:
        return [(name, file.get_slice(name).get_dtype()) for name in file.keys()]  # noqa: SIM118


def _is_pointer(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(64).startswith(b"version https://git-lfs")
    except OSError:
        return False


def outline(folder: Path, config: PretrainedConfig) -> PreTrainedModel:
    """The model without its weights: every parameter has its shape and no content.

    Raises:
        ConfigError: the files lack a parameter, or hold one of another shape, or of one layer more.
    """
    from transformers import AutoModelForCausalLM

    with (
        LibraryErrors(
            lambda message: refusal(folder, f"transformers can't build the model: {message}", WHOLE)
        ),
        quiet(),
    ):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            device_map="meta",
            attn_implementation=None,  # as it will be opened
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    model, found = loaded
    if found["mismatched_keys"]:
        name, there, wanted = min(found["mismatched_keys"])
        raise refusal(
            folder,
            f"{name} has shape {tuple(there)} in the weights, {tuple(wanted)} by {CONFIG}",
            f"{CONFIG} and the weights are not of one checkpoint: {WHOLE}",
        )
    if found["missing_keys"]:
        names = sorted(found["missing_keys"])
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        raise refusal(folder, f"the weights lack {names[0]}{more}", WHOLE)
    known = set(model.state_dict())
    further = sorted(name for name in found["unexpected_keys"] if LAYER.sub(".0.", name) in known)
    if further:
        raise refusal(
            folder,
            f"the weights hold {further[0]}, of a layer that the model does not have by {CONFIG}",
            f"{CONFIG} and the weights are not of one checkpoint: {WHOLE}",
        )
    return cast("PreTrainedModel", model)
