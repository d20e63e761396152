"""The model folder: weights in safetensors, a tokenizer, and a card that says honestly what it is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from freshet.backends.planners.libraries import LibraryErrors, need_local, quiet, stay_offline
from freshet.core.errors import ArtifactError, ConfigError
from freshet.storage.checksums import remembered, sha256

if TYPE_CHECKING:
    import torch
    from torch.nn import Module
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CARD = "freshet.json"

READ = (".safetensors", ".json", ".txt", ".model", ".jinja")
"""Endings of the files that loading a model reads: weights, settings, tokenizer, chat template."""

ANSWERS = {"return_dict": True, "output_attentions": False, "output_hidden_states": False}
"""Which outputs a model is to give. What its folder says about that, or about how it is meant to chat
(sampling, penalties), must not decide what a planner answers; where these settings contradict each other or
the way it attends, transformers would also refuse to save it, after all its training."""

Mode = Literal["description", "label"]


@dataclass(frozen=True, slots=True)
class Card:
    """What a model folder records about itself.

    Attributes:
        kind: `scratch` or `transformers`.
        mode: `description` or `label`.
        base: the checkpoint it was tuned from; `scratch` has none.
        template: version of the prompt's wording it was tuned on.
        interests: how many interests it was tuned for.
        world_knowledge: whether it read anything but this workspace's catalogue and log.
        relative: whether its answers are relative to popularity.
        chat: whether prompts go through the tokenizer's chat template.
    """

    kind: str
    mode: str
    base: str
    template: int | str
    interests: int
    world_knowledge: bool
    relative: bool = False
    chat: bool = False

    @property
    def note(self) -> str:
        if self.world_knowledge:
            return f"Fine-tuned from {self.base}."
        return "Made from this catalogue and log alone: the model has no world knowledge."


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, card: Card, into: Path) -> None:
    """Write a complete model folder.

    Raises:
        ConfigError: training diverged.
    """
    broken = not_finite(model)
    if broken:
        raise ConfigError(
            f"training diverged: {broken} became numbers that are not finite",
            hint="lower [tuning] learning_rate",
        )
    into.mkdir(parents=True, exist_ok=True)
    with quiet():
        model.save_pretrained(into, safe_serialization=True)
        tokenizer.save_pretrained(into)
    content = {**asdict(card), "note": card.note}
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    (into / CARD).write_text(text + "\n", encoding="utf-8")


def not_finite(model: PreTrainedModel) -> str:
    """The first parameter with a number that is not finite, '' where all are."""
    import torch

    named = torch_module(model).named_parameters()
    return next((name for name, values in named if not torch.isfinite(values).all()), "")


def read_card(folder: Path) -> Card:
    """The card of a model folder.

    Raises:
        ArtifactError: it is missing or is not one of ours.
    """
    try:
        content = json.loads((folder / CARD).read_text(encoding="utf-8"))
        content.pop("note", None)
        return Card(**content)
    except FileNotFoundError:
        raise ArtifactError(
            f"{folder} holds no {CARD}, so it is not a fine-tuned planner",
            hint="run `freshet finetune`, or restore the folder",
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise _damaged(folder / CARD, str(error)) from None


def load(source: Path, device: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model (float32, evaluation mode) and tokenizer of a folder that a tuner wrote.

    It computes in float32 whatever the type of the weights in the file: in 16 bits, what a prompt is answered
    would depend on the prompts that are read beside it.

    Raises:
        ArtifactError: files are missing or damaged.
    """
    need_local("torch", "transformers", "safetensors")
    with LibraryErrors(lambda message: _damaged(source, message)):
        return opened(source, device)


def opened(
    source: Path, device: str, dtype: torch.dtype | None = None, tokenizer_of: Path | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Like `load`, with the errors that transformers raises; nothing is run or fetched.

    Args:
        dtype: of the weights in memory; None = float32.
        tokenizer_of: folder of the tokenizer, where that is another one.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(
            tokenizer_of or source, local_files_only=True, trust_remote_code=False
        )
        config = AutoConfig.from_pretrained(source, local_files_only=True, trust_remote_code=False, **ANSWERS)
        model = AutoModelForCausalLM.from_pretrained(
            source,
            config=config,
            attn_implementation=None,  # torch's own: a folder may name one not here, or code of the hub
            dtype=dtype or torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
        model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    return place(model, device), tokenizer


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, whatever model belongs to it; torch is not needed.

    Raises:
        ConfigError: the folder has none that can be read.
    """

    def unfit(message: str) -> ConfigError:
        return ConfigError(
            f"{folder} holds no tokenizer that can be read: {message}",
            hint="name a folder that `freshet finetune` wrote, or that of a checkpoint with its tokenizer",
        )

    stay_offline()
    with LibraryErrors(unfit):
        from transformers import AutoTokenizer

        with quiet():
            return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def positions(folder: Path) -> int:
    """Tokens that a text may have by the configuration of a checkpoint, 0 where it doesn't say."""
    try:
        declared = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return int(declared.get("max_position_embeddings") or 0)
    except (OSError, ValueError, TypeError, AttributeError):
        return 0


def declared_dtype(folder: Path) -> str:
    """The type of a checkpoint's weights by its configuration, such as `bfloat16`; `float32` without one."""
    try:
        declared = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return str(declared.get("dtype") or declared.get("torch_dtype") or "float32")
    except (OSError, ValueError, AttributeError):
        return "float32"


def place(model: PreTrainedModel, device: str) -> PreTrainedModel:
    """The model on its device, ready to be read from (no dropout)."""
    placed = cast("PreTrainedModel", torch_module(model).to(resolve_device(device)))
    torch_module(placed).eval()
    return placed


def torch_module(model: PreTrainedModel) -> Module:
    """The model as the plain torch module it is, whose methods have types."""
    return model


def resolve_device(device: str) -> str:
    """`auto` is a GPU if there is one.

    Raises:
        ConfigError: torch has no such device here.
    """
    import torch

    gpus = torch.cuda.device_count()
    if device == "auto":
        return "cuda" if gpus else "cpu"
    try:
        wanted = torch.device(device)
    except RuntimeError:
        raise ConfigError(
            f"[planner] device = {device!r} is no device of torch", hint='expected "auto", "cpu" or "cuda"'
        ) from None
    if wanted.type == "cuda" and (wanted.index or 0) >= gpus:
        raise ConfigError(
            f"[planner] device = {device!r}, and torch finds {gpus} GPUs that it can use",
            hint='set device = "auto" or "cpu", or install a torch made for this GPU',
        )
    return device


def checksum(folder: Path) -> str:
    """One hash over names and bytes of the weights, the tokenizer and the configuration."""
    digest = hashlib.sha256()
    files = [path for path in folder.iterdir() if path.suffix in READ]
    for path in sorted(files):
        if path.name == "manifest.json":  # the store's, not the model's
            continue
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        digest.update(path.name.encode() + b"\0" + content)
    return digest.hexdigest()


def content(checkpoint: Path) -> str:
    """One hash over names and bytes of all that loading a checkpoint reads."""
    files = sorted(path for path in checkpoint.iterdir() if path.suffix in READ)
    listed = "".join(f"{path.name} {_bytes_of(path)}\n" for path in files)
    return hashlib.sha256(listed.encode()).hexdigest()


def _bytes_of(path: Path) -> str:
    """A hash; '' of a link that leads nowhere, a folder, somebody else's: whoever loads it says so."""
    try:
        return remembered(path, sha256) if path.is_file() else ""
    except OSError:
        return ""


def _damaged(path: Path, why: str) -> ArtifactError:
    return ArtifactError(
        f"{path} cannot be read as a model: {why}",
        hint="`freshet doctor --repair` moves a damaged model aside; `freshet finetune` makes it again",
    )
