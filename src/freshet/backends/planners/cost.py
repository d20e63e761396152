"""What a decoder costs to run, in floating point operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from freshet.backends.planners.tables import token_tables

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Cost:
    """The sizes that decide the cost of a forward pass.

    Attributes:
        body: parameters without the embedding tables and the output head.
        attention: layers times the width of all query heads.
        head: parameters of the output head that are used per scored position.
    """

    body: int
    attention: int
    head: int

    @classmethod
    def of(cls, model: PreTrainedModel, answers: int | None = None) -> Cost:
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
        )

    def forward(self, tokens: float, before: float, scored: int) -> float:
        """FLOPs of reading `tokens` tokens that each attend to `before` tokens on average.

        2 * body * tokens for the matrix products, 4 * attention * before * tokens for scores and weighted
        sums of attention, 2 * head for each of the `scored` positions whose next token is asked for.
        """
        products = 2.0 * self.body * tokens
        return products + 4.0 * self.attention * before * tokens + 2.0 * self.head * scored

    def training(self, tokens: int, before: float, scored: int) -> float:
        """FLOPs of a forward and a backward pass: three times the forward."""
        return 3.0 * self.forward(tokens, before, scored)
