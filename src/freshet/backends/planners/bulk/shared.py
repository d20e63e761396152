"""Reading prompts with the beginnings they share read once, for models with full attention."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from freshet.backends.planners.bulk import attention, compiled_reading, last_layer
from freshet.backends.planners.bulk.attention import Attending, Grid, Pass, Stretch
from freshet.backends.planners.bulk.compiled_attention import Arena, RaggedPass
from freshet.backends.planners.bulk.compiled_reading import CompiledReading
from freshet.backends.planners.bulk.search import Continuations
from freshet.backends.planners.bulk.sharing import Batch, Group, pack, share
from freshet.backends.planners.decoder import DecoderCost
from freshet.core.types import IntArray, Usage

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

PASS = {"cpu": 4096}
"""Tokens of one forward pass: on a CPU, what its caches hold; elsewhere `ELSEWHERE`."""

ELSEWHERE = 16384

PORTIONS = 4
"""Most shares into which the prompts of a call are cut, of about three passes each; at least two."""

KEPT = 2**29
"""Bytes of keys and values that are kept: of beginnings for their prompts, of prompts for continuations."""


def why_not(model: PreTrainedModel) -> str:
    """Why this architecture can't be read with shared beginnings, or '' if nothing speaks against it."""
    config = model.config.get_text_config()
    if not getattr(model, "_supports_attention_backend", False):
        return "its attention can't be replaced"
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    windowed = getattr(config, "sliding_window", None) and not hasattr(config, "layer_types")
    if kinds != {"full_attention"} or windowed:
        return "not all of its layers attend to the whole prompt"
    if "logits_to_keep" not in inspect.signature(model.forward).parameters:
        return "it can't be asked for the scores of single tokens"
    return ""


class SharedReader:
    """Reads many prompts and their continuations.

    Args:
        model: a causal language model for which `why_not` is silent.
        columns: (c,) tokens whose logits are wanted.
        lean: whether the last layer works on scored tokens alone.
    """

    shares = True
    pool: ThreadPoolExecutor | None = None
    """Threads of compiled attention while a larger model reads."""

    def __init__(self, model: PreTrainedModel, columns: NDArray[np.int64], lean: bool = True) -> None:
        self.model = model
        self.columns = torch.from_numpy(columns).to(model.device)
        self.budget = PASS.get(model.device.type, ELSEWHERE)
        self._head = self._narrow_head()
        self.layers = int(model.config.get_text_config().num_hidden_layers)
        self.lean = lean
        self._last = last_layer.feed_forward(model) if lean else None
        last = 0 if self._last is None else sum(part.numel() for part in self._last.parameters())
        self.cost = DecoderCost.of(model, None if self._head is None else len(columns), last)
        self.compiled = model.device.type == "cpu" and model.dtype == torch.float32
        attention.register()

    @property
    def _bytes_per_token(self) -> int:
        config = self.model.config.get_text_config()
        heads = int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
        width = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
        return 2 * int(config.num_hidden_layers) * heads * width * self.model.dtype.itemsize

    def _narrow_head(self) -> torch.nn.Linear | None:
        """The output head cut down to the wanted tokens: other scores would be thrown away."""
        head = self.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        if type(head) is not torch.nn.Linear:
            return None
        weight = head.weight.detach()[self.columns]
        narrow = torch.nn.Linear(weight.shape[1], len(weight), bias=head.bias is not None, device="meta")
        narrow.weight = torch.nn.Parameter(weight, requires_grad=False)
        if head.bias is not None:
            narrow.bias = torch.nn.Parameter(head.bias.detach()[self.columns], requires_grad=False)
        return narrow

    @contextmanager
    def ready(self) -> Iterator[None]:
        """The model attends to shared stretches and scores the wanted tokens only; as before afterwards."""
        before = self.model.config._attn_implementation
        head = self.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        self.model.set_attn_implementation(attention.NAME)
        if self._head is not None:
            self.model.set_output_embeddings(self._head)  # type: ignore[no-untyped-call]
        threads = torch.get_num_threads() if self.compiled else 1
        try:
            with last_layer.scored_only(self._last):
                if threads == 1:
                    yield
                else:
                    with ThreadPoolExecutor(threads) as self.pool:
                        yield
        finally:
            self.pool = None
            self.model.set_attn_implementation(before)
            self.model.set_output_embeddings(head)  # type: ignore[no-untyped-call]

    def portions(self, prompts: Sequence[Sequence[int]]) -> list[list[Group]]:
        """Independent shares of the work, whatever the number of cores, which thus changes no sum.

        More of them where beginnings would take too much memory.
        """
        lengths = np.array([len(prompt) for prompt in prompts])
        groups = share(prompts)
        tokens = np.array(
            [group.shared + int((lengths[group.rows] - group.shared).sum()) for group in groups]
        )
        longest = max(group.shared for group in groups)  # to which the others are padded
        kept = np.arange(len(groups)) * longest // max(longest, KEPT // self._bytes_per_token)
        shares = int(np.clip(tokens.sum() // (3 * self.budget), 2, PORTIONS))
        part = kept * shares + (np.cumsum(tokens) - tokens) * shares // tokens.sum()
        cuts = np.flatnonzero(np.diff(part)) + 1
        return [groups[a:b] for a, b in zip([0, *cuts.tolist()], [*cuts.tolist(), len(groups)], strict=True)]

    def readings(
        self, prompts: Sequence[Sequence[int]], groups: Sequence[Group], branches: int
    ) -> Iterator[SharedReading | CompiledReading]:
        """Read the groups' beginnings, then their rows batch by batch.

        Args:
            branches: most continuations of a prompt that are read at once; 0 if there are none.
        """
        if self.compiled:
            return compiled_reading.readings(self, prompts, groups, branches, KEPT // self._bytes_per_token)
        return self._padded(prompts, groups, branches)

    def _padded(
        self, prompts: Sequence[Sequence[int]], groups: Sequence[Group], branches: int
    ) -> Iterator[SharedReading]:
        """As `readings`, on grids: a batch has so many rows that their continuations fill a pass."""
        lengths = np.array([group.shared for group in groups])
        seen, usage = self._beginnings(prompts, groups) if lengths.any() else ([], Usage())
        sizes = np.array([len(prompt) for prompt in prompts])
        tokens, rows = self.budget, len(prompts)
        if branches:
            tokens = max(tokens, KEPT // self._bytes_per_token)
            rows = max(1, self.budget // branches)
        for batch in pack(groups, sizes, self.budget // 4, tokens, rows):
            yield SharedReading(self, batch, prompts, lengths, seen, usage)
            usage = Usage()

    def _beginnings(
        self, prompts: Sequence[Sequence[int]], groups: Sequence[Group]
    ) -> tuple[list[Stretch], Usage]:
        """What the groups' prompts have in common, read: one stretch for each group."""
        tokens = [np.array(prompts[group.rows[0]][: group.shared], np.int64) for group in groups]
        lengths = np.array([len(part) for part in tokens])
        read, usage = [], Usage()
        for first, last in _slices(lengths, self.budget):
            part = lengths[first:last]
            current, starts = Pass(Grid.of(part, self.model.device), []), np.zeros_like(part)
            _, cost = self.forward(np.concatenate(tokens[first:last]), starts, part, current, None)
            read.append(current.read)
            usage += cost
        return [Stretch.join(read)], usage

    def ragged(self, arena: Arena, lengths: NDArray[np.int64], seen: NDArray[np.int64]) -> RaggedPass:
        """A pass over rows (r,) of so many tokens that see spans (r, s, 2) of the arena before their own."""
        return RaggedPass.of(arena, lengths, seen, self.pool, self.layers - 1 if self.lean else -1)

    def forward(
        self,
        tokens: NDArray[np.int64],
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        current: Attending,
        scored: NDArray[np.int64] | None,
    ) -> tuple[Tensor, Usage]:
        """One pass over flat tokens.

        Args:
            tokens: (t,) row by row.
            starts: (r,) position of each row's first token; `lengths` (r,) its tokens.
            current: how the rows attend; keeps their keys and values.
            scored: (s,) which tokens' next token is scored.

        Returns:
            Logits (s, columns), and what it cost.
        """
        device = self.model.device
        first = np.cumsum(lengths) - lengths
        position = np.repeat(starts - first, lengths) + np.arange(len(tokens))
        keep = torch.from_numpy(np.zeros(1, np.int64) if scored is None else scored).to(device)
        with torch.inference_mode(), attention.during(current), last_layer.scoring(keep):
            logits = self.model(
                input_ids=torch.from_numpy(tokens).to(device)[None],
                position_ids=torch.from_numpy(position).to(device)[None],
                use_cache=False,
                logits_to_keep=keep,
            ).logits[0]
        if self._head is None:
            logits = logits[:, self.columns]
        before = float((lengths * (starts + (lengths + 1) / 2)).sum()) / len(tokens)
        flops = self.cost.forward(len(tokens), before, 0 if scored is None else len(scored))
        return logits.float(), Usage(len(tokens), flops)


@dataclass(slots=True)
class SharedReading:
    """One batch of prompts being read, and continuations of them.

    Attributes:
        beginnings: tokens of each group's beginning.
        seen: the beginnings of all groups; once started, those of this batch, then the prompts' own tokens.
        usage: of all passes so far.
        path: what was read of each continuation at earlier levels, one stretch per row of the last grid.
    """

    reader: SharedReader
    batch: Batch
    prompts: Sequence[Sequence[int]]
    beginnings: NDArray[np.int64]
    seen: list[Stretch]
    usage: Usage
    path: list[Stretch] = field(default_factory=list)
    ends: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    slots: int = 1

    @property
    def rows(self) -> NDArray[np.int64]:
        """(n,) positions of this batch's prompts."""
        return self.batch.rows

    def start(self) -> Tensor:
        """Logits (n, columns) after the prompts."""
        groups = self.batch.cells // self.batch.places
        shared = self.beginnings[self.batch.groups][groups]
        own = [self.prompts[row][begin:] for row, begin in zip(self.rows, shared, strict=True)]
        lengths = np.array([len(tokens) for tokens in own])
        self.ends = shared + lengths
        found, read = [], []
        for first, last in _slices(np.bincount(groups, lengths).astype(np.int64), self.reader.budget):
            low, high = np.searchsorted(groups, [first, last]).tolist()
            index = torch.from_numpy(self.batch.groups[first:last]).to(self.reader.model.device)
            logits, part = self._read(
                np.concatenate(own[low:high]).astype(np.int64),
                shared[low:high],
                lengths[low:high],
                self.batch.cells[low:high] - first * self.batch.places,
                (last - first) * self.batch.places,
                [stretch.take(index) for stretch in self.seen],
            )
            found.append(logits)
            read.append(part)
        index = torch.from_numpy(self.batch.groups).to(self.reader.model.device)
        self.seen = [*(stretch.take(index) for stretch in self.seen), Stretch.join(read)]
        return torch.cat(found)

    def follow(self, new: Continuations) -> Tensor:
        """Logits (m, columns) after each continuation."""
        width = int(new.slots.max()) + 1
        cells = self.batch.cells[new.rows] * width + new.slots
        rows_of_grid = len(self.batch.groups) * self.batch.places * width
        if self.path:
            origin = np.zeros(rows_of_grid, np.int64)
            origin[cells] = self.batch.cells[new.rows] * self.slots + new.parents
            index = torch.from_numpy(origin).to(self.reader.model.device)
            self.path = [stretch.take(index) for stretch in self.path]
        starts, before = self.ends[new.rows] + new.starts, [*self.seen, *self.path]
        logits, read = self._read(new.tokens, starts, new.lengths, cells, rows_of_grid, before)
        self.path.append(read)
        self.slots = width
        return logits

    def _read(
        self,
        tokens: NDArray[np.int64],
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        cells: NDArray[np.int64],
        rows_of_grid: int,
        seen: list[Stretch],
    ) -> tuple[Tensor, Stretch]:
        sizes = np.zeros(rows_of_grid, np.int64)
        sizes[cells] = lengths
        current = Pass(Grid.of(sizes, self.reader.model.device), seen)
        logits, usage = self.reader.forward(tokens, starts, lengths, current, np.cumsum(lengths) - 1)
        self.usage += usage
        return logits, current.read


def _slices(tokens: IntArray, budget: int) -> Iterator[tuple[int, int]]:
    """Neighbouring groups (first, last) with about as many tokens each, about as many as the budget."""
    total = int(tokens.sum())
    even = total / max(1, -(-total // budget))
    first, load = 0, 0
    for group, size in enumerate(tokens.tolist()):
        if load and size and load + size / 2 > even:
            yield first, group
            first, load = group, 0
        load += size
    yield first, len(tokens)
