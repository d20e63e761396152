"""Attention of ragged rows of tokens to several stretches of keys, none of them copied row by row.

Tokens of one forward pass stand in a flat sequence, so that every layer but attention works on real tokens
alone. For attention they are laid out on a grid of rows x width. A row sees its own earlier tokens and any
number of **stretches**: keys and values of tokens read before, one stretch for every `rows / n` neighbouring
rows. Heads come first in memory: regrouping rows then only changes the view, never the data. What the parts
find is merged by the sums of their exponentials, as in the online softmax of Milakov and Gimelshein
(arXiv:1805.02867); sharing a prefix this way is known from Hydragen (Juravsky et al., arXiv:2402.05099).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

if TYPE_CHECKING:
    from torch import Tensor

NAME = "freshet_shared"
"""The name under which transformers finds this attention."""

FAINT = -87.0
"""Scores that far below the best one are held there: exp of less is slow on CPUs and no more than 1e-38."""

HIDDEN = -1e30
"""Added to the score of a key that must not be seen: unlike -inf, no NaN where all keys are hidden."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Keys and values of n stretches of tokens.

    Attributes:
        keys: per layer (key heads, n, length, width).
        values: per layer (key heads, n, length, value width).
        hidden: (n, length, 1), `HIDDEN` at padding, 0 elsewhere; None where there is none.
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

    @classmethod
    def join(cls, parts: Sequence[Stretch]) -> Stretch:
        """All stretches of several, padded to the longest."""
        if len(parts) == 1:
            return parts[0]
        lengths = [part.keys[0].shape[2] for part in parts]
        most = max(lengths)

        def joined(layers: Iterable[list[Tensor]]) -> list[Tensor]:
            return [
                torch.cat([pad(x, (0, 0, 0, most - x.shape[2])) for x in layer], dim=1)
                for layer in zip(*layers, strict=True)
            ]

        hidden = None
        if min(lengths) < most or any(part.hidden is not None for part in parts):
            padded = []
            for part, length in zip(parts, lengths, strict=True):
                held = part.hidden
                if held is None:
                    held = part.keys[0].new_zeros(part.keys[0].shape[1], length, 1)
                padded.append(pad(held, (0, 0, 0, most - length), value=HIDDEN))
            hidden = torch.cat(padded)
        return cls(joined(part.keys for part in parts), joined(part.values for part in parts), hidden)


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
        hidden = np.where(full, np.float32(0), np.float32(HIDDEN))[:, :, None]
        return cls(
            rows,
            width,
            torch.from_numpy(cells).to(device),
            torch.from_numpy(slots).to(device),
            torch.from_numpy(hidden).to(device),
        )


class Attending(Protocol):
    """How the tokens of a forward pass attend, layer by layer."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Attention of one layer.

        Args:
            query: (heads, tokens, width).
            key: (key heads, tokens, width).
            value: (key heads, tokens, value width).

        Returns:
            (tokens, heads, value width).
        """


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
        heads, rows, width = key.shape[0], self.grid.rows, self.grid.width
        layer = len(self.keys)
        keys = self._spread(key).view(heads, rows, width, -1)
        values = self._spread(value).view(heads, rows, width, -1)
        self.keys.append(keys)
        self.values.append(values)
        queries = (query * scaling).view(heads, -1, *query.shape[1:]).transpose(1, 2)
        queries = self._spread(queries)  # (key heads, cells, each, width)
        parts = [_own(queries, keys, values)]
        parts += [_over(queries, s.keys[layer], s.values[layer], s.hidden) for s in self.seen]
        found = _merged(parts).transpose(0, 1)
        if self.grid.slots is not None:
            found = found.index_select(0, self.grid.slots)
        return found.flatten(1, 2)

    def _spread(self, flat: Tensor) -> Tensor:
        """(heads, tokens, ...) -> (heads, cells, ...), contiguous."""
        if self.grid.cells is None:
            return flat.contiguous()
        return flat.index_select(1, self.grid.cells)


Part = tuple["Tensor", "Tensor", "Tensor"]
"""What queries (key heads, cells, each) found in some keys: the sum of exp(score - m) * value over them, the
score m, and the sum of exp(score - m)."""


def _over(queries: Tensor, keys: Tensor, values: Tensor, hidden: Tensor | None) -> Part:
    """Attention to n stretches of which each is seen by 1/n of the rows."""
    heads, n, length, width = keys.shape
    scores = torch.bmm(keys.flatten(0, 1), queries.reshape(heads * n, -1, width).transpose(1, 2))
    if hidden is not None:
        scores.view(heads, n, length, -1).add_(hidden)
    return _summed(scores, values, queries)


def _own(queries: Tensor, keys: Tensor, values: Tensor) -> Part:
    """Attention of each row to its tokens so far."""
    heads, rows, length, width = keys.shape
    if length == 1:
        one = (heads, rows, 1, -1)
        scores = (queries * keys.view(one)).sum(-1)
        return values.view(one).expand(-1, -1, queries.shape[2], -1), scores, torch.ones_like(scores)
    scores = torch.bmm(keys.flatten(0, 1), queries.view(heads * rows, -1, width).transpose(1, 2))
    later = torch.ones(length, length, dtype=torch.bool, device=queries.device).tril_(-1)  # key after query
    scores.view(heads, rows, length, length, -1).masked_fill_(later[:, :, None], -torch.inf)
    return _summed(scores, values, queries)


def _summed(scores: Tensor, values: Tensor, queries: Tensor) -> Part:
    """`scores` (heads * n, keys, queries): queries last, so that sums over few keys run along memory."""
    largest = scores.amax(1, keepdim=True)
    weights = scores.sub_(largest).clamp_(min=FAINT).exp_()
    summed = torch.bmm(weights.transpose(1, 2), values.flatten(0, 1))
    shape = queries.shape[:3]
    return summed.view(*shape, -1), largest.view(shape), weights.sum(1).view(shape)


def _merged(parts: Sequence[Part]) -> Tensor:
    """One attention over the keys of all parts, (key heads, cells, each, value width)."""
    largest = torch.stack([part[1] for part in parts])
    shares = (largest - largest.amax(0)).exp_()
    total = shares * torch.stack([part[2] for part in parts])
    shares.div_(total.sum(0))
    found = parts[0][0] * shares[0][..., None]
    for (summed, _, _), share in zip(parts[1:], shares[1:], strict=True):
        found.addcmul_(summed, share[..., None])
    return found


_CURRENT: ContextVar[Attending] = ContextVar("freshet_pass")


@contextmanager
def during(current: Attending) -> Iterator[None]:
    """Layers that run inside attend as the pass says; each thread has its own pass."""
    token = _CURRENT.set(current)
    try:
        yield
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
