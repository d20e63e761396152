"""The model folder: weights in safetensors, a tokenizer, and a card that says honestly what it is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from freshet.backends.planners.extras import need_local
from freshet.backends.planners.quiet import quiet
from freshet.checksums import remembered, sha256
from freshet.errors import ArtifactError

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CARD = "freshet.json"

Mode = Literal["description", "label"]


@dataclass(frozen=True, slots=True)
class Card:
    """What a model folder says about itself.

    Attributes:
        kind: `scratch` or `transformers`.
        mode: `description` or `label`.
        base: the checkpoint it was tuned from; `scratch` has none.
        template: version of the prompt's wording it was tuned on.
        interests: how many interests it was tuned for.
        world_knowledge: whether it read anything but this workspace's catalogue and log.
        relative: whether its answers are relative to popularity.
    """

    kind: str
    mode: str
    base: str
    template: int
    interests: int
    world_knowledge: bool
    relative: bool = False

    @property
    def note(self) -> str:
        if self.world_knowledge:
            return f"Fine-tuned from {self.base}."
        return "Made from this catalogue and log alone: the model has no world knowledge."


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, card: Card, into: Path) -> None:
    """Write a complete model folder."""
    into.mkdir(parents=True, exist_ok=True)
    with quiet():
        model.save_pretrained(into, safe_serialization=True)
        tokenizer.save_pretrained(into)
    content = {**asdict(card), "note": card.note}
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    (into / CARD).write_text(text + "\n", encoding="utf-8")


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
        raise _damaged(folder / CARD, error) from None


def load(source: Path | str, device: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model (float32, evaluation mode) and tokenizer of a folder or of a checkpoint's name.

    Raises:
        ArtifactError: files are missing or damaged.
    """
    need_local("torch", "transformers", "safetensors")
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(source)
            model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _damaged(source, error) from None
    return place(model, device), tokenizer


def place(model: PreTrainedModel, device: str) -> PreTrainedModel:
    """The model on its device, ready to be read from (no dropout)."""
    placed = cast("PreTrainedModel", torch_module(model).to(resolve_device(device)))
    torch_module(placed).eval()
    return placed


def torch_module(model: PreTrainedModel) -> Module:
    """The model as the plain torch module it is, whose methods have types."""
    return model


def resolve_device(device: str) -> str:
    """`auto` is a GPU if there is one."""
    from torch import cuda

    if device == "auto":
        return "cuda" if cuda.is_available() else "cpu"
    return device


def checksum(folder: Path) -> str:
    """One hash over names and bytes of the weights, the tokenizer and the configuration."""
    digest = hashlib.sha256()
    files = [path for path in folder.iterdir() if path.suffix in {".safetensors", ".json", ".txt"}]
    for path in sorted(files):
        if path.name == "manifest.json":  # the store's, not the model's
            continue
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        digest.update(path.name.encode() + b"\0" + content)
    return digest.hexdigest()


def content(checkpoint: Path) -> str:
    """One hash over names and bytes of all that loading a checkpoint reads."""
    read = {".safetensors", ".json", ".txt", ".model", ".jinja"}
    files = sorted(path for path in checkpoint.iterdir() if path.suffix in read)
    said = "".join(f"{path.name} {remembered(path, sha256)}\n" for path in files)
    return hashlib.sha256(said.encode()).hexdigest()


def _damaged(path: Path | str, error: Exception) -> ArtifactError:
    reason = str(error).strip().split("\n")[0]
    return ArtifactError(
        f"{path} cannot be read as a model: {type(error).__name__}: {reason}",
        hint="restore the folder, or delete it and run `freshet finetune` again",
    )
