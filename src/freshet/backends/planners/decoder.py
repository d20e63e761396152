"""What planners need to know of a decoder: its tables, its limits, what it costs, on how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedModel


SMALL = 5_000_000
"""Parameters below which the work of one operation is too little to be shared."""


@dataclass(frozen=True, slots=True)
class DecoderCost:
    """The sizes that decide the cost of a forward pass.

    Attributes:
        body: parameters without the embedding tables and the output head.
        attention: layers times the width of all query heads.
        head: parameters of the output head that are used per scored position.
        last: parameters of the body that scored positions alone pass through.
    """

    body: int
    attention: int
    head: int
    last: int = 0

    @classmethod
    def of(cls, model: PreTrainedModel, answers: int | None = None, last: int = 0) -> DecoderCost:
        """The sizes of a model; `answers`: how many tokens its head scores, None for the whole vocabulary."""
        config = model.config.get_text_config()
        hidden = int(config.hidden_size)
        heads = int(getattr(config, "num_attention_heads", 1))
        width = heads * int(getattr(config, "head_dim", None) or hidden // heads)
        tables = token_tables(model)
        total = sum(parameter.numel() for parameter in model.parameters())
        return cls(
            body=total - sum(table.numel() for table in tables),
            attention=int(config.num_hidden_layers) * width,
            head=hidden * (int(config.vocab_size) if answers is None else answers),
            last=last,
        )

    def forward(self, tokens: float, before: float, scored: int) -> float:
        """FLOPs of reading `tokens` tokens that each attend to `before` tokens on average.

        2 * body * tokens for the matrix products (of `last`, scored tokens alone), 4 * attention * before *
        tokens for scores and weighted sums of attention, 2 * head for each of the `scored` positions whose
        next token is scored.
        """
        products = 2.0 * (self.body * tokens - self.last * (tokens - scored))
        return products + 4.0 * self.attention * before * tokens + 2.0 * self.head * scored

    def training(self, tokens: int, before: float, scored: int, frozen: bool = False) -> float:
        """FLOPs of a forward and a backward pass: three times the forward, twice where weights are frozen."""
        return (2.0 if frozen else 3.0) * self.forward(tokens, before, scored)


def token_tables(model: PreTrainedModel) -> tuple[Tensor, ...]:
    """The embedding table and the output head, each (tokens, width); one table where they are tied."""
    layers = (
        model.get_input_embeddings(),
        model.get_output_embeddings(),  # type: ignore[no-untyped-call]
    )
    weights = [cast("Tensor", layer.weight) for layer in layers if layer is not None]
    return tuple({id(weight): weight for weight in weights}.values())


def max_positions(model: PreTrainedModel) -> int | None:
    """How many tokens a text may have, None if that is not limited."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if not isinstance(limit, int) or limit <= 0:
        return None
    for name, module in cast("Module", model).named_modules():
        padding = getattr(module, "padding_idx", None)
        if name.endswith("position_embeddings") and padding is not None:
            return limit - int(padding) - 1  # such a table counts positions from its padding on
    return limit


def is_small(model: PreTrainedModel) -> bool:
    """Whether one operation of the model is too little work for several threads."""
    return sum(parameter.numel() for parameter in model.parameters()) < SMALL


@contextmanager
def threads_for(model: PreTrainedModel) -> Iterator[None]:
    """Run a small model on one thread, and leave a larger one to torch.

    At the size of `scratch`, two threads on two free cores gain nothing, on busy cores they lose up to nine
    tenths of the speed to waiting for each other; and on one thread the sums don't depend on the machine's
    number of cores.
    """
    import torch

    before = torch.get_num_threads()
    if is_small(model):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
