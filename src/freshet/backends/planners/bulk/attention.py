"""Attention of ragged rows of tokens to several stretches of keys, none of them copied row by row.

Tokens of one forward pass stand in a flat sequence, so that every layer but attention works on real tokens
alone. For attention they are laid out on a grid of rows x width. A row sees its own earlier tokens and any
number of **stretches**: keys and values of tokens read before, one stretch for every `rows / n` neighbouring
rows. Heads come first in memory: regrouping rows then only changes the view, never the data, and one
softmax runs over the scores of all stretches side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

NAME = "freshet_shared"
"""The name under which transformers finds this attention."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Keys and values of n stretches of tokens.

    Attributes:
        keys: per layer (key heads, n, length, width).
        values: per layer (key heads, n, length, value width).
        hidden: (n, 1, length), -inf at padding, 0 elsewhere; None where there is none.
    """

    keys: list[Tensor]
    values: list[Tensor]
    hidden: Tensor | None

    def take(self, index: Tensor) -> Stretch:
        """Some of the stretches, copied."""
        return Stretch(
            [keys.index_select(1, index) for keys in self.keys],
            [values.index_select(1, index) for values in self.values],
            None if self.hidden is None else self.hidden.index_select(0, index),
        )


@dataclass(frozen=True, slots=True)
class Grid:
    """Where flat tokens stand when they are laid out in rows.

    Attributes:
        rows: number of rows, empty ones included.
        width: cells of a row; a row's tokens stand at its beginning.
        cells: (rows * width,) token of each cell, 0 in empty ones; None if no cell is empty.
        slots: (tokens,) cell of each token; None if no cell is empty.
        hidden: as in `Stretch`.
    """

    rows: int
    width: int
    cells: Tensor | None
    slots: Tensor | None
    hidden: Tensor | None

    @classmethod
    def of(cls, lengths: NDArray[np.int64], device: torch.device) -> Grid:
        """The grid of rows with so many tokens each; the flat order is row by row."""
        rows, width = len(lengths), int(lengths.max(initial=1))
        if (lengths == width).all():
            return cls(rows, width, None, None, None)
        full = np.arange(width) < lengths[:, None]
        slots = np.flatnonzero(full)
        cells = np.zeros(rows * width, np.int64)
        cells[slots] = np.arange(len(slots))
        hidden = np.where(full, np.float32(0), np.float32(-np.inf))[:, None]
        return cls(
            rows,
            width,
            torch.from_numpy(cells).to(device),
            torch.from_numpy(slots).to(device),
            torch.from_numpy(hidden).to(device),
        )


@dataclass(slots=True)
class Pass:
    """One forward pass: the grid of its tokens and what they see; gathers their keys and values.

    Attributes:
        grid: of the tokens read.
        seen: stretches that come before them.
        keys, values: of the tokens read, a `Stretch` of `grid.rows` in the making.
    """

    grid: Grid
    seen: list[Stretch]
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    @property
    def read(self) -> Stretch:
        """What this pass read, one stretch per row of its grid."""
        return Stretch(self.keys, self.values, self.grid.hidden)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Attention of one layer.

        Args:
            query: (heads, tokens, width).
            key: (key heads, tokens, width).
            value: (key heads, tokens, value width).

        Returns:
            (tokens, heads, value width).
        """
        heads, rows, width = key.shape[0], self.grid.rows, self.grid.width
        each = query.shape[0] // heads  # query heads that share a key head
        layer = len(self.keys)
        self.keys.append(self._spread(key).view(heads, rows, width, -1))
        self.values.append(self._spread(value).view(heads, rows, width, -1))
        asked = (query * scaling).view(heads, each, query.shape[1], -1).transpose(1, 2)
        asked = self._spread(asked)  # (key heads, cells, each, width)
        stretches = [*self.seen, Stretch(self.keys, self.values, None)]
        parts = [_scores(asked, stretch, layer) for stretch in stretches]
        if width > 1:
            later = torch.ones(width, width, dtype=torch.bool, device=query.device).triu_(1)
            own = parts[-1].view(heads, rows, width, each, width)
            own.masked_fill_(later[:, None, :], -torch.inf)
        weights = torch.softmax(torch.cat(parts, dim=-1), dim=-1) if len(parts) > 1 else parts[0].softmax(-1)
        found: Tensor | None = None
        start = 0
        for stretch in stretches:
            values = stretch.values[layer]
            n, length = values.shape[1:3]
            part = weights[..., start : start + length].reshape(heads * n, -1, length)
            mixed = torch.bmm(part, values.flatten(0, 1)).view(heads, rows * width, each, -1)
            found = mixed if found is None else found.add_(mixed)
            start += length
        assert found is not None
        if self.grid.slots is not None:
            found = found.index_select(1, self.grid.slots)
        return found.transpose(0, 1).flatten(1, 2)

    def _spread(self, flat: Tensor) -> Tensor:
        """(heads, tokens, ...) -> (heads, cells, ...), contiguous."""
        if self.grid.cells is None:
            return flat.contiguous()
        return flat.index_select(1, self.grid.cells)


def _scores(asked: Tensor, stretch: Stretch, layer: int) -> Tensor:
    """(key heads, cells * each, length): what each query thinks of each key of its stretch."""
    keys = stretch.keys[layer]
    heads, n, length, width = keys.shape
    scores = torch.bmm(asked.view(heads * n, -1, width), keys.flatten(0, 1).transpose(1, 2))
    if stretch.hidden is not None:
        scores.view(heads, n, -1, length).add_(stretch.hidden)
    return scores.view(heads, -1, length)


_CURRENT: ContextVar[Pass] = ContextVar("freshet_pass")


@contextmanager
def during(current: Pass) -> Iterator[Pass]:
    """Layers that run inside attend as the pass says; each thread has its own pass."""
    token = _CURRENT.set(current)
    try:
        yield current
    finally:
        _CURRENT.reset(token)


def attention(
    module: torch.nn.Module,  # noqa: ARG001
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """What transformers calls: query (1, heads, tokens, width) -> (1, tokens, heads, value width)."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return _CURRENT.get().attend(query[0], key[0], value[0], scale)[None], None


def register() -> None:
    """Make the attention known to transformers, which then leaves masks to it."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attention)
