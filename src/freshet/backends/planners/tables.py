"""The tables of a language model: rows per token, and rows per position."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedModel


def token_tables(model: PreTrainedModel) -> tuple[Tensor, ...]:
    """The embedding table and the output head, each (tokens, width); one table where they are tied."""
    layers = (
        model.get_input_embeddings(),
        model.get_output_embeddings(),  # type: ignore[no-untyped-call]
    )
    weights = [cast("Tensor", layer.weight) for layer in layers if layer is not None]
    return tuple({id(weight): weight for weight in weights}.values())


def positions(model: PreTrainedModel) -> int | None:
    """How many tokens a text may have, None if that is not limited."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if not isinstance(limit, int) or limit <= 0:
        return None
    for name, module in cast("Module", model).named_modules():
        padding = getattr(module, "padding_idx", None)
        if name.endswith("position_embeddings") and padding is not None:
            return limit - int(padding) - 1  # such a table counts positions from its padding on
    return limit
