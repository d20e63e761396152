"""Adapters: low-rank updates (LoRA, in PEFT's format) of a checkpoint that they name, which lies elsewhere.

A base checkpoint may be given as an adapter. The checkpoint that it names is opened, the updates are added to
its weights in memory, and tuning starts from the sum. Nothing is written to either folder.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from freshet.backends.planners.base_model import sources, weights
from freshet.backends.planners.base_model.checkpoint_config import ADAPTER, CONFIG, content_of
from freshet.backends.planners.base_model.sources import refusal
from freshet.backends.planners.libraries import LibraryErrors, quiet
from freshet.core.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WEIGHTS = "adapter_model.safetensors"

WITHIN = "base_model.model."
"""What PEFT puts before the name of each layer."""

MERGE = (
    "merge it where it can be merged, and name the result: with peft, "
    "AutoPeftModelForCausalLM.from_pretrained(adapter).merge_and_unload().save_pretrained(folder), "
    "and save the tokenizer into that folder too"
)


@dataclass(frozen=True, slots=True)
class Base:
    """What a base checkpoint is read from.

    Attributes:
        whole: folder of a whole model.
        adapter: folder of updates that are added to its weights; None = there are none.
        tokenizer: folder with the tokenizer, the adapter's own where it has one.
    """

    whole: Path
    adapter: Path | None
    tokenizer: Path

    @property
    def named(self) -> Path:
        """The folder that the settings name."""
        return self.adapter or self.whole

    @property
    def folders(self) -> list[Path]:
        """Every folder that decides what the model is."""
        return [self.whole] if self.adapter is None else [self.whole, self.adapter]


def find(base: str) -> Base:
    """Where a base checkpoint is; of an adapter, where the checkpoint is that it names.

    Raises:
        ConfigError: there is none, or the adapter names none that is on this machine.
    """
    found = sources.find(base)
    if not (found / ADAPTER).exists():
        return Base(found, None, found)
    content = content_of(found / ADAPTER)
    kind, name = content.get("peft_type"), content.get("base_model_name_or_path")
    if kind != "LORA":
        raise refusal(found, f"a PEFT adapter of type {kind}, expected LORA", MERGE)
    if not isinstance(name, str) or not name:
        raise refusal(
            found / ADAPTER,
            "base_model_name_or_path is empty, so the checkpoint that the adapter updates is not known",
            "write the folder of that checkpoint there",
        )
    whole = _named(found, name)
    if (whole / ADAPTER).exists() and not (whole / CONFIG).exists():
        raise refusal(found, f"an adapter of {name!r}, which is an adapter itself", MERGE)
    own = any((found / file).exists() for file in ("tokenizer.json", "tokenizer.model", "vocab.json"))
    return Base(whole, found, found if own else whole)


def _named(adapter: Path, name: str) -> Path:
    """The checkpoint that an adapter names: a folder, from its own where relative, or one of the hub."""
    beside = adapter / name
    try:
        return beside if beside.is_dir() else sources.find(name)
    except ConfigError as error:
        raise refusal(
            adapter,
            f"a PEFT adapter of {name!r}, which is not to be had here ({error.message})",
            f"copy or download {name} to this machine; or write where it lies into {ADAPTER} "
            "(base_model_name_or_path)",
        ) from None


def check(base: Base, sketch: PreTrainedModel) -> None:
    """Compare an adapter with the model, without weights, that it is to update; the model is changed.

    Raises:
        ConfigError: the adapter's weights are missing or damaged, or are not updates of this model.
    """
    if base.adapter is None:
        return
    path = base.adapter / WEIGHTS
    if not path.exists():
        others = sorted(file.name for file in base.adapter.glob("adapter_model.*"))
        what = f"the updates are in {others[0]}, expected {WEIGHTS}" if others else f"no {WEIGHTS}"
        raise refusal(base.adapter, what, weights.WHOLE)
    weights.check_header(path)
    layers = {name for name, _ in sketch.named_modules()}
    strange = [name for name, _ in weights.tensors(path) if ".lora_" in name and _layer(name) not in layers]
    if strange:
        raise refusal(path, f"holds {strange[0]}, and {base.whole} has no such layer", _apart(base))
    merged(base, sketch, "meta")


def merged(base: Base, model: PreTrainedModel, device: str) -> PreTrainedModel:
    """The model with an adapter's updates added to its weights; the model itself where there is none.

    Raises:
        ConfigError: the updates don't go with the weights.
    """
    if base.adapter is None:
        return model
    from peft import PeftModel

    adapter = base.adapter
    unfit = LibraryErrors(
        lambda message: refusal(adapter, f"it does not go with {base.whole}: {message}", _apart(base))
    )
    with unfit, quiet(), warnings.catch_warnings():
        warnings.filterwarnings("error", message="Found missing adapter keys")
        updated = PeftModel.from_pretrained(
            model, str(adapter), low_cpu_mem_usage=True, torch_device="cpu" if device == "meta" else device
        )
        if device == "meta":
            return model
        whole: PreTrainedModel = updated.merge_and_unload()
    return whole


def _layer(name: str) -> str:
    return name.removeprefix(WITHIN).split(".lora_")[0]


def _apart(base: Base) -> str:
    return (
        f"the adapter was made for another checkpoint than {base.whole}: correct base_model_name_or_path in "
        f"{ADAPTER}, or copy the right checkpoint there"
    )
