"""What a small Qwen3-shaped decoder makes of prompts at their last token, for training: no more is computed.

A labelled answer is one token, so that of the last layer only the last position is read. What the first layer
asks, offers and passes on depends on the word alone, and is computed once per word; what later layers do so
depends on the prompt up to there, and is computed once for prompts that begin alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention, silu

from freshet.backends.planners.decoder import token_tables

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Prompts:
    """n prompts of up to r tokens, with m distinct beginnings.

    Attributes:
        ids: (n, r) tokens, padded on the right.
        last: (n,) where the last token stands.
        first: (m,) a position of each beginning, counted through all n * r.
        place: (n, r) which beginning ends at each position; anything where it is padded.
    """

    ids: Tensor
    last: Tensor
    first: Tensor
    place: Tensor


class Beginnings:
    """Which of many prompts begin alike.

    Args:
        rows: tokens of each prompt.

    Attributes:
        length: (n,) tokens of each.
    """

    def __init__(self, rows: list[list[int]]) -> None:
        self.length = np.array([len(row) for row in rows])
        self.ids = np.zeros((len(rows), self.length.max()), np.int64)
        there = np.arange(self.ids.shape[1]) < self.length[:, None]
        self.ids[there] = np.concatenate(rows)
        self._beginning = np.empty_like(self.ids)  # a number for each distinct beginning that ends there
        before, used = np.zeros(len(rows), np.int64), 0
        for column, tokens in enumerate(self.ids.T):
            _, before = np.unique(before * (self.ids.max() + 1) + tokens, return_inverse=True)
            self._beginning[:, column] = before + used
            used += int(before.max()) + 1

    def of(self, batch: NDArray[np.int64], device: torch.device) -> tuple[Prompts, Tensor]:
        """The distinct prompts of some rows, and (b,) which of them each row is."""
        last = self.length[batch] - 1
        _, rows, which = np.unique(self._beginning[batch, last], return_index=True, return_inverse=True)
        batch, last = batch[rows], last[rows]
        width = int(last.max()) + 1
        there = np.flatnonzero(np.arange(width) <= last[:, None])
        ends = self._beginning[batch, :width].flatten()[there]
        _, first, number = np.unique(ends, return_index=True, return_inverse=True)
        place = np.zeros((len(batch), width), np.int64)
        place.flat[there] = number
        found = self.ids[batch, :width], last, there[first], place
        return Prompts(*(torch.from_numpy(part).to(device) for part in found)), torch.from_numpy(which).to(
            device
        )


class LastStates:
    """Reads with the weights that a model has at the time, without dropout; gradients go to these weights.

    Args:
        model: of type `qwen3`.
        longest: tokens of a prompt, at most.
    """

    def __init__(self, model: PreTrainedModel, longest: int) -> None:
        decoder: Any = model.base_model
        self._layers, self._norm = list(decoder.layers), decoder.norm
        [self._table] = token_tables(model)
        self._size = int(model.config.head_dim)
        places = torch.arange(longest, device=self._table.device)[None]
        turn = decoder.rotary_emb(self._table, places)
        self._cos, self._sin = (part[0, :, None] for part in turn)  # (r, 1, size)

    def __call__(self, prompts: Prompts) -> Tensor:
        """(n, d) after the last tokens of n prompts."""
        place, last = prompts.place, prompts.last
        end = torch.arange(len(last), device=last.device)
        source, where = self._table, prompts.ids  # what positions (n, r) hold: rows of a table, by number
        for number, layer in enumerate(self._layers):
            attention, normed = layer.self_attn, _rms(source, layer.input_layernorm)
            key = self._turned(_rms(self._heads(normed, attention.k_proj), attention.k_norm)[where])
            value = self._heads(normed, attention.v_proj)[where]
            if number == len(self._layers) - 1:
                asks = where[end, last]
                query = _rms(self._heads(normed[asks], attention.q_proj), attention.q_norm)
                mixed = self._from_last(_turned(query, self._cos[last], self._sin[last]), key, value, last)
            else:
                asks = where.flatten()[prompts.first]
                query = _rms(self._heads(normed, attention.q_proj), attention.q_norm)[where]
                mixed = self._from_all(self._turned(query), key, value).flatten(0, 1)[prompts.first]
            stream = source[asks] + attention.o_proj(mixed.flatten(-2))
            normed = _rms(stream, layer.post_attention_layernorm)
            widths = torch.cat([layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight])
            gate, up = (normed @ widths.T).chunk(2, -1)
            source, where = stream + layer.mlp.down_proj(silu(gate) * up), place
        return _rms(source, self._norm)

    def _heads(self, normed: Tensor, project: Any) -> Tensor:
        """(..., heads, size) of (..., d)."""
        found: Tensor = project(normed).unflatten(-1, (-1, self._size))
        return found

    def _turned(self, heads: Tensor) -> Tensor:
        """(n, r, h, size) turned by their places."""
        length = heads.shape[1]
        return _turned(heads, self._cos[:length], self._sin[:length])

    def _from_all(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(n, r, h, size) what each position takes from itself and those before it."""
        query, key, value = (heads.transpose(1, 2) for heads in (query, key, value))
        mixed = scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        return mixed.transpose(1, 2)

    def _from_last(self, query: Tensor, key: Tensor, value: Tensor, last: Tensor) -> Tensor:
        """(n, h, size) what the last positions, (n, h, size), take from all, (n, r, g, size)."""
        n, length, groups, size = key.shape
        asked = query.view(n, 1, groups, -1, size)
        scores = (asked * key[:, :, :, None]).sum(-1) * size**-0.5  # (n, r, g, h / g)
        after = torch.arange(length, device=last.device)[None] > last[:, None]
        shares = scores.masked_fill(after[:, :, None, None], -torch.inf).softmax(1)
        mixed: Tensor = (shares[..., None] * value[:, :, :, None]).sum(1).flatten(1, 2)
        return mixed

    def flops(self, beginnings: int, prompts: int) -> float:
        """Of matrix products over so many beginnings and prompts, forward and backward (three times the
        forward); those per word and of attention, a few per cent, are not counted."""
        count = 0.0
        for number, layer in enumerate(self._layers):
            attention, feed = layer.self_attn, layer.mlp
            asking = [attention.o_proj, feed.gate_proj, feed.up_proj, feed.down_proj]
            asking += [attention.q_proj] if number else []
            offered = [attention.k_proj, attention.v_proj] if number else []
            asked = beginnings if number < len(self._layers) - 1 else prompts
            count += asked * sum(part.weight.numel() for part in asking)
            count += beginnings * sum(part.weight.numel() for part in offered)
        return 6.0 * count


def _rms(stream: Tensor, norm: Any) -> Tensor:
    return torch.rms_norm(stream, stream.shape[-1:], norm.weight, norm.variance_epsilon)


def _turned(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = heads.chunk(2, -1)
    return heads * cos + torch.cat([-second, first], -1) * sin
