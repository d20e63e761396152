"""Fits a training into a machine's memory: how much is read at once, and what is computed twice for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from freshet.backends.planners.fine_tuning import Execution
from freshet.backends.planners.model_folder import resolve_device
from freshet.core.errors import ConfigError

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel

    from freshet.backends.planners.training_memory import TrainingMemory

Precision = Literal["auto", "bf16", "float32"]

USED = 0.8
"""Share of a machine's memory that a training is fitted into; libraries and other programs have the rest."""

ENOUGH = 8
"""Sequences that are worth reading at once; for more of them, layers are not computed twice."""

LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container's limit stands."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the settings say about how to train; `auto` is left to the machine.

    Attributes:
        precision: `bf16` multiplies matrices in 16 bits; auto = that on GPUs that can, else float32.
        checkpointing: whether layers are computed anew for the backward pass instead of kept.
        micro_batch: sequences read at once.
    """

    precision: Precision = "auto"
    checkpointing: bool | Literal["auto"] = "auto"
    micro_batch: int | Literal["auto"] = "auto"


AS_IT_FITS = Wishes()


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory of the device that a training runs on, in bytes: all of it, and what is free now."""

    name: str
    total: int
    free: int

    @classmethod
    def of(cls, device: str) -> Machine:
        """The memory of a device (`auto`, `cpu`, `cuda`); of a container, no more than it may use."""
        import torch

        if resolve_device(device) != "cpu":
            free, total = torch.cuda.mem_get_info(torch.device(resolve_device(device)))
            return cls("the GPU", total, free)
        memory = psutil.virtual_memory()
        total = min([memory.total, *_limits()])
        return cls("this machine", total, min(memory.available, total))


def _limits() -> Iterator[int]:
    for path in LIMITS:
        try:
            yield int(path.read_text(encoding="ascii"))
        except (OSError, ValueError):  # not there, or "max"
            continue


@dataclass(frozen=True, slots=True)
class Fit:
    """How a training is carried out, and the memory that it will take."""

    execution: Execution
    memory: TrainingMemory
    machine: Machine

    def __str__(self) -> str:
        how = f"{self.execution.micro_batch} examples at once"
        how += ", layers computed twice" if self.execution.checkpointing else ""
        how += ", bf16" if self.execution.low else ", float32"
        text = f"training takes about {self.memory}; {how}"
        if self.memory.total > self.machine.free:
            free = f"{self.machine.free / 1e9:.1f} GB"
            text += f". Of {self.machine.name} only {free} are free now: end other programs first"
        return text


def is_low(precision: Precision, device: str) -> bool:
    """Whether matrices are multiplied in bfloat16."""
    import torch

    if precision != "auto":
        return precision == "bf16"
    return resolve_device(device) != "cpu" and torch.cuda.is_bf16_supported()


def fit(
    sketch: Callable[[], tuple[PreTrainedModel, LoraConfig | None]],
    batch: int,
    tokens: int,
    wishes: Wishes,
    device: str,
) -> Fit:
    """The largest share of a batch that fits, with layers computed once if possible.

    It follows from the machine's memory as such, not from what is free now: equal jobs are to give equal
    weights.

    Args:
        sketch: makes the model on the device meta, and what is trained of it if that is not all.
        batch: examples of an optimiser's step.
        tokens: of the longest example.
        wishes: what the settings say.
        device: `auto`, `cpu`, `cuda`.

    Raises:
        ConfigError: memory does not suffice, or a setting does not go with the model or the batch.
    """
    from freshet.backends.planners.training_memory import needed

    low, machine = is_low(wishes.precision, device), Machine.of(device)
    sizes = [size for size in range(batch, 0, -1) if batch % size == 0]
    if wishes.micro_batch != "auto":
        if wishes.micro_batch not in sizes:
            raise ConfigError(
                f"[tuning] micro_batch = {wishes.micro_batch} does not divide the batch of {batch} examples",
                hint=f"expected one of {', '.join(map(str, reversed(sizes)))}, or set batch_size",
            )
        sizes = [wishes.micro_batch]

    def measured(size: int, checkpointing: bool) -> Fit:
        model, lora = sketch()
        if checkpointing and not model.supports_gradient_checkpointing:
            raise ConfigError(
                "[tuning] gradient_checkpointing = true, which models of type "
                f"{model.config.model_type} do not have",
                hint='gradient_checkpointing = "auto"',
            )
        memory = needed(
            model,
            lora,
            shape=(size, tokens),
            low=low,
            checkpointing=checkpointing,
            accumulates=size < batch,
        )
        return Fit(Execution(size, checkpointing, low), memory, machine)

    room, best = USED * machine.total, None
    can = sketch()[0].supports_gradient_checkpointing
    ways = [False, True][: 1 + can] if wishes.checkpointing == "auto" else [wishes.checkpointing]
    for checkpointing in ways:
        found = _largest(measured, sizes, checkpointing, room)
        if found is not None and (best is None or found.execution.micro_batch > best.execution.micro_batch):
            best = found
        if best is not None and best.execution.micro_batch >= min(ENOUGH, sizes[0]):
            break
    if best is None:
        raise _too_large(measured(sizes[-1], ways[-1]))
    return best


def _largest(
    measured: Callable[[int, bool], Fit], sizes: list[int], checkpointing: bool, room: float
) -> Fit | None:
    """The largest of descending sizes that fits; None = none does."""
    found = measured(sizes[0], checkpointing)
    if found.memory.unknown and sizes[0] > ENOUGH:  # nobody can say how many would fit
        sizes = [size for size in sizes if size <= ENOUGH]
        found = measured(sizes[0], checkpointing)
    if found.memory.total <= room or len(sizes) == 1:
        return found if found.memory.total <= room else None
    one = measured(1, checkpointing)
    each = max(1.0, (found.memory.activations - one.memory.activations) / (sizes[0] - 1))
    most = 1 + (room - one.memory.total) / each  # what is kept grows with each sequence by the same
    for size in sizes[1:]:
        if size <= most:
            found = one if size == 1 else measured(size, checkpointing)
            if found.memory.total <= room:
                return found
    return None


def _too_large(found: Fit) -> ConfigError:
    return ConfigError(
        f"[planner] model is too large to be trained here: it takes {found.memory} even with "
        f"{found.execution.micro_batch} examples at once, and {found.machine.name} has "
        f"{found.machine.total / 1e9:.2f} GB, of which {USED:.0%} are used",
        hint="train on a machine with more memory; or [tuning] lora_rank = 16 (fewer weights are trained), "
        'precision = "bf16", gradient_checkpointing = true, or a smaller checkpoint',
    )
