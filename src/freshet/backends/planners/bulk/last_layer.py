"""What the last layer need not compute: only tokens that are scored need more of it than keys and values.

The feed-forward block of that layer works on each token alone, so it is given the scored ones; others keep
zeros, which nobody reads. In a model of two layers that is a third of all matrix products.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedModel

_SCORED: ContextVar[Tensor] = ContextVar("freshet_scored")


def feed_forward(model: PreTrainedModel) -> Module | None:
    """The feed-forward block of the last layer; None where it isn't found under its usual name."""
    body = model.base_model
    layers = getattr(body, "layers", None) or getattr(body, "h", None) or [None]
    return cast("Module | None", getattr(layers[-1], "mlp", None))


@contextmanager
def scoring(tokens: Tensor) -> Iterator[None]:
    """A forward pass inside scores these tokens (s,); each thread has its own."""
    token = _SCORED.set(tokens)
    try:
        yield
    finally:
        _SCORED.reset(token)


@contextmanager
def scored_only(block: Module | None) -> Iterator[None]:
    """The block works on the tokens that a pass scores; its input is (1, tokens, width)."""
    if block is None:
        yield
        return
    total: ContextVar[int] = ContextVar("freshet_tokens")

    def before(_: Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        total.set(args[0].shape[1])
        return args[0].index_select(1, _SCORED.get()), *args[1:]

    def after(_: Module, __: tuple[Any, ...], found: Tensor) -> Tensor:
        whole = found.new_zeros(1, total.get(), found.shape[2])
        return whole.index_copy_(1, _SCORED.get(), found)

    hooks = block.register_forward_pre_hook(before), block.register_forward_hook(after)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
