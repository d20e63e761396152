"""Attention of ragged rows of tokens on a CPU: compiled, without padding, outside of Python's lock.

Keys and values of everything read lie in one **arena** per layer, token after token. A row's tokens see some
spans of it, in order, and their own row so far. The spans that a row has in common with the row before it are
laid out for the processor once: the beginning of a group, the prompt of several beams.

The inner loops run over 16 keys, or 16 parts of values, that lie side by side: a fixed number, so that they
become vector instructions. Indices are unsigned, as Python's meaning of negative ones would prevent that.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numba import float32 as f4
from numba import njit
from numba import uint64 as u8
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 16
"""Numbers side by side."""

LOG2_E = 1.4426950408889634

EXACT = {"reassoc", "contract", "nsz", "arcp"}
"""Sums in any order; infinities and what is not a number keep their meaning."""


@njit(cache=True, nogil=True, fastmath=EXACT, inline="always")
def _add_products(out, at, table, base, weights, first):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """out[at + j] += sum of weights[first + i] * table[base + SIDE * i + j] over i < 8, for all j < SIDE."""
    w0, w1, w2, w3 = weights[first], weights[first + u8(1)], weights[first + u8(2)], weights[first + u8(3)]
    first += u8(4)
    w4, w5, w6, w7 = weights[first], weights[first + u8(1)], weights[first + u8(2)], weights[first + u8(3)]
    for j in range(u8(SIDE)):
        k = base + j
        low = w0 * table[k] + w1 * table[k + u8(SIDE)]
        low += w2 * table[k + u8(2 * SIDE)] + w3 * table[k + u8(3 * SIDE)]
        high = w4 * table[k + u8(4 * SIDE)] + w5 * table[k + u8(5 * SIDE)]
        high += w6 * table[k + u8(6 * SIDE)] + w7 * table[k + u8(7 * SIDE)]
        out[at + j] += low + high


@njit(cache=True, nogil=True, fastmath=EXACT, inline="always")
def _powers(scores, bits, count, size):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """Turn `count` scores into powers of two, the largest 1, and what follows up to `size` into 0; their sum.

    2^x is the exponent of a float for the whole part, Taylor's polynomial for -1/2 <= x <= 1/2.
    """
    largest = scores[u8(0)]
    for j in range(u8(count), u8(size)):
        scores[j] = f4(-np.inf)
    for j in range(u8(size)):
        largest = max(largest, scores[j])
    for j in range(u8(size)):
        x = max(scores[j] - largest, f4(-126))
        whole = np.floor(x + f4(0.5))
        x -= whole
        bits[j] = (np.int32(whole) + np.int32(127)) << np.int32(23)
        y = f4(0.009618129107628477) + x * (f4(0.0013333558146428443) + x * f4(0.00015403530393381608))
        y = f4(0.2402265069591007) + x * (f4(0.05550410866482158) + x * y)
        scores[j] = f4(1) + x * (f4(0.6931471805599453) + x * y)
    power = bits.view(np.float32)
    for j in range(u8(size)):
        scores[j] *= power[j]
    for j in range(u8(count), u8(size)):
        scores[j] = f4(0)
    total = f4(0)
    for j in range(u8(size)):
        total += scores[j]
    return total


@njit(cache=True, nogil=True, fastmath=EXACT)
def attend_rows(query, keys, values, first, spans, scale, skip, out, low, high):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # pragma: no cover - compiled
    """Attention of the rows low..high.

    Args:
        query: (tokens, heads, width).
        keys, values: (arena, key heads, width), (arena, key heads, value width).
        first: (rows + 1,) first token of each row, each with at least one.
        spans: (rows, s, 2) from and to in the arena of what a row sees; the last span is its own tokens.
        scale: of scores.
        skip: whether all but the last token of each row is left out.
        out: (tokens, heads, value width), written.
    """
    heads, width = query.shape[1:]
    key_heads, value_width = values.shape[1:]
    each = heads // key_heads
    most = 0
    for row in range(low, high):
        most = max(most, (spans[row, :, 1] - spans[row, :, 0]).sum())
    blocks = (most + SIDE - 1) // SIDE
    most = blocks * SIDE
    deep = (width + 7) // 8 * 8
    parts = (value_width + SIDE - 1) // SIDE
    turned = np.zeros(
        key_heads * blocks * deep * SIDE, np.float32
    )  # keys: heads x blocks x width x SIDE keys
    laid = np.zeros(
        key_heads * parts * most * SIDE, np.float32
    )  # values: heads x parts x keys x SIDE numbers
    asked = np.zeros(deep, np.float32)
    scores = np.zeros(most, np.float32)
    bits = np.zeros(most, np.int32)
    found = np.zeros(SIDE, np.float32)
    factor = f4(scale * LOG2_E)
    for row in range(low, high):
        size = span = 0
        while row > low and span + 1 < spans.shape[1] and (spans[row, span] == spans[row - 1, span]).all():
            size += spans[row, span, 1] - spans[row, span, 0]
            span += 1
        for later in range(span, spans.shape[1]):
            for token in range(spans[row, later, 0], spans[row, later, 1]):
                block, side = size // SIDE, size % SIDE
                for head in range(key_heads):
                    base = (head * blocks + block) * deep * SIDE + side
                    for d in range(width):
                        turned[u8(base + d * SIDE)] = keys[u8(token), u8(head), u8(d)]
                    for part in range(parts):
                        base = ((head * parts + part) * most + size) * SIDE
                        for d in range(min(value_width - part * SIDE, SIDE)):
                            laid[u8(base + d)] = values[u8(token), u8(head), u8(d + part * SIDE)]
                size += 1
        for head in range(key_heads * parts):  # weighed with 0, so it must be numbers
            for d in range(size * SIDE, (size + 7) // 8 * 8 * SIDE):
                laid[u8(head * most * SIDE + d)] = f4(0)
        own = first[row + 1] - first[row]
        for step in range(max(own - 1, 0) if skip else 0, own):
            seen = size - own + step + 1
            filled = (seen + SIDE - 1) // SIDE
            token = u8(first[row] + step)
            for head in range(heads):
                of = head // each
                for d in range(u8(width)):
                    asked[d] = query[token, u8(head), d] * factor
                for j in range(u8(filled * SIDE)):
                    scores[j] = f4(0)
                for block in range(filled):
                    base = u8((of * blocks + block) * deep * SIDE)
                    for d in range(u8(deep // 8)):
                        _add_products(
                            scores, u8(block * SIDE), turned, base + d * u8(8 * SIDE), asked, d * u8(8)
                        )
                inverse = f4(1) / _powers(scores, bits, seen, filled * SIDE)
                for part in range(parts):
                    for d in range(u8(SIDE)):
                        found[d] = f4(0)
                    base = u8((of * parts + part) * most * SIDE)
                    for k in range(u8((seen + 7) // 8)):
                        _add_products(found, u8(0), laid, base + k * u8(8 * SIDE), scores, k * u8(8))
                    for d in range(u8(min(SIDE, value_width - part * SIDE))):
                        out[token, u8(head), u8(part * SIDE) + d] = found[d] * inverse


@dataclass(slots=True)
class Arena:
    """Keys and values of tokens read, one after the other.

    Attributes:
        room: tokens for which there is memory.
        used: tokens read; may be set back to forget the last ones.
        keys: per layer (room, key heads, width).
        values: per layer (room, key heads, value width).
    """

    room: int
    used: int = 0
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    def need(self, tokens: int) -> None:
        """Make room for so many more tokens."""
        if self.used + tokens <= self.room:
            return
        self.room = max(self.used + tokens, self.room * 3 // 2)
        for layers in (self.keys, self.values):
            for layer, held in enumerate(layers):
                layers[layer] = held.new_empty(self.room, *held.shape[1:])
                layers[layer][: self.used] = held[: self.used]


@dataclass(slots=True)
class RaggedPass:
    """One forward pass whose keys and values go to the end of an arena.

    Attributes:
        first: (rows + 1,) first token of each row.
        spans: (rows, s, 2) as in `attend_rows`.
        pool: threads that attend side by side; None = this one.
        last: the layer in which only the last token of each row attends, the others finding zeros.
        layer: that attends next.
    """

    arena: Arena
    first: NDArray[np.int64]
    spans: NDArray[np.int64]
    pool: ThreadPoolExecutor | None
    last: int
    layer: int = 0

    @classmethod
    def of(
        cls,
        arena: Arena,
        lengths: NDArray[np.int64],
        seen: NDArray[np.int64],
        pool: ThreadPoolExecutor | None = None,
        last: int = -1,
    ) -> RaggedPass:
        """Rows of so many tokens (rows,) that see these spans (rows, s, 2) before their own."""
        first = np.concatenate([[0], np.cumsum(lengths)])
        arena.need(int(first[-1]))
        own = arena.used + np.stack([first[:-1], first[1:]], axis=1)
        return cls(arena, first, np.concatenate([seen, own[:, None]], axis=1), pool, last)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """As `attention.Pass.attend`."""
        layer, start, tokens = self.layer, self.arena.used, query.shape[1]
        self.layer += 1
        if layer == len(self.arena.keys):
            for layers, new in ((self.arena.keys, key), (self.arena.values, value)):
                layers.append(new.new_empty(self.arena.room, new.shape[0], new.shape[2]))
        keys, values = self.arena.keys[layer], self.arena.values[layer]
        keys[start : start + tokens] = key.transpose(0, 1)
        values[start : start + tokens] = value.transpose(0, 1)
        skip = layer == self.last
        shape = (tokens, query.shape[0], value.shape[2])
        out = query.new_zeros(shape) if skip else query.new_empty(shape)
        asked = query.transpose(0, 1).contiguous().numpy()
        arrays = (asked, keys.numpy(), values.numpy(), self.first, self.spans, scaling, skip, out.numpy())

        def work(part: NDArray[np.int64]) -> None:
            attend_rows(*arrays, part[0], part[1])

        self._each_part(work)
        return out

    def _each_part(self, work: Callable[[Any], None]) -> None:
        """Neighbouring rows with about as many tokens, side by side."""
        rows = len(self.spans)
        if self.pool is None:
            work(np.array([0, rows]))
            return
        count = torch.get_num_threads()
        cuts = np.searchsorted(self.first, np.linspace(0, self.first[-1], count + 1)[1:-1])
        cuts = np.concatenate([[0], cuts, [rows]])
        list(self.pool.map(work, np.stack([cuts[:-1], cuts[1:]], axis=1)))
