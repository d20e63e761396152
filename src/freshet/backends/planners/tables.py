"""The two tables of a language model that hold a row per token."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def token_tables(model: PreTrainedModel) -> tuple[Tensor, ...]:
    """The embedding table and the output head, each (tokens, width); one table where they are tied."""
    layers = (
        model.get_input_embeddings(),
        model.get_output_embeddings(),  # type: ignore[no-untyped-call]
    )
    weights = [cast("Tensor", layer.weight) for layer in layers if layer is not None]
    return tuple({id(weight): weight for weight in weights}.values())
