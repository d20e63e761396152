"""Memory that a training will need, by the shapes of its tensors: nothing is loaded, nothing is computed.

A model without weights goes through a forward and a backward pass in which tensors have shapes and no
content, and the bytes that are alive at once are counted: so whatever an architecture keeps for its backward
pass is in the figure, with gradient checkpointing or without it. Weights, gradients and the optimiser's two
averages are counted from the parameters.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from freshet.backends.planners.libraries import LibraryErrors, quiet
from freshet.core.errors import ConfigError

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedModel

MASTER = 4
"""Bytes of a trained weight, and of its gradient: float32 in any precision. Adam keeps twice that."""


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """Bytes at the peak of a training.

    Attributes:
        weights: of the model, trained or not.
        gradients: of the weights that are trained.
        optimiser: Adam's two averages of each.
        activations: what is kept for the backward pass, and everything else that passes by.
        unknown: why activations could not be counted, and are 0; '' = they were.
    """

    weights: int
    gradients: int
    optimiser: int
    activations: int
    unknown: str = ""

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimiser + self.activations

    def __str__(self) -> str:
        last = f"what a batch takes is not counted: {self.unknown}"
        parts = (
            f"weights {self.weights / 1e9:.2f}",
            f"gradients {self.gradients / 1e9:.2f}",
            f"optimiser {self.optimiser / 1e9:.2f}",
            last if self.unknown else f"activations {self.activations / 1e9:.2f}",
        )
        return f"{self.total / 1e9:.2f} GB ({', '.join(parts)})"


def needed(
    model: PreTrainedModel,
    lora: LoraConfig | None,
    *,
    shape: tuple[int, int],
    low: bool,
    checkpointing: bool,
    accumulates: bool,
) -> TrainingMemory:
    """What training a model takes.

    Args:
        model: on the device meta, without weights; it is changed.
        lora: the updates that are trained; None = all weights are.
        shape: (sequences, tokens of each) read at once.
        low: 16-bit arithmetic: weights that are not trained have 16 bits.
        checkpointing: what layers compute is computed anew for the backward pass instead of kept.
        accumulates: gradients of one such portion wait for those of the next.
    """
    from peft import get_peft_model
    from trl.trainer.utils import add_fused_lm_head

    frozen = torch.bfloat16 if low else torch.float32
    with quiet():
        trained: Any = model if lora is None else get_peft_model(model, lora, low_cpu_mem_usage=True)
        if checkpointing:
            trained.activation_checkpointing_enable({"use_reentrant": False})
            trained.enable_input_require_grads()
    parameters = list({id(p): p for p in trained.parameters()}.values())
    learning = sum(p.numel() for p in parameters if p.requires_grad)
    kept = sum(p.numel() for p in parameters) - learning
    gradients = learning * MASTER
    peak, unknown = gradients, ""
    try:
        # an architecture may do what needs numbers, such as sending tokens to experts
        with LibraryErrors(ConfigError), _muted(), FakeTensorMode():
            _give_shapes(trained, frozen)
            trained.train()
            add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
            with LiveBytes([*trained.parameters(), *trained.buffers()]) as live:
                for _ in range(1 + accumulates):
                    _pass(model, shape, low)
            peak = live.peak
    except ConfigError as error:
        unknown = (
            f"models of type {model.config.model_type} can't be followed by shapes ({error.message[:80]})"
        )
    weights = kept * frozen.itemsize + learning * MASTER
    return TrainingMemory(weights, gradients, 2 * gradients, max(0, peak - gradients), unknown)


@contextmanager
def _muted() -> Iterator[None]:
    """Without torch's own report of an operation that failed on shapes."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _give_shapes(model: Module, frozen: torch.dtype) -> None:
    """Parameters and buffers of a model on the device meta as if they lay in memory."""
    made: dict[int, torch.nn.Parameter] = {}
    for module in model.modules():
        for name, values in module._parameters.items():
            if values is None:
                continue
            if id(values) not in made:  # tied tables stay one
                kind = torch.float32 if values.requires_grad else frozen
                empty = torch.empty(values.shape, dtype=kind)
                made[id(values)] = torch.nn.Parameter(empty, requires_grad=values.requires_grad)
            module._parameters[name] = made[id(values)]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


def _pass(model: PreTrainedModel, shape: tuple[int, int], low: bool) -> None:
    """A forward and a backward pass over sequences of one length, with the loss that TRL computes."""
    ids = torch.zeros(shape, dtype=torch.long)
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        read: Any = model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            labels=ids,
            use_cache=False,
            return_dict=True,
            fused_lm_head=True,
        )
        loss = -read.log_probs.sum()
    del read
    loss.backward()


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that are alive, by their storages.

    Args:
        known: tensors that were there before and don't count.

    Attributes:
        peak: most of them at once.
    """

    def __init__(self, known: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._alive: dict[int, object] = {id(tensor.untyped_storage()): tensor for tensor in known}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, torch.Tensor):
                self._see(tensor)
        return found

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        if key not in self._alive:
            self._alive[key] = weakref.ref(storage, lambda _: self._gone(key, size))
            self._now += size
            self.peak = max(self.peak, self._now)

    def _gone(self, key: int, size: int) -> None:
        self._alive.pop(key, None)
        self._now -= size
