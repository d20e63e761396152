"""Constrained search: the probabilities of all names after each prompt, from few forward passes.

The prompts are read once. Then, level by level, only branching nodes of the trie are visited, per prompt the
`beam` nodes with the largest probability; what lies under the others is left at zero. An unlimited beam gives
the exact distribution over all names. Prompts of one call have one length, so that there is no padding.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from freshet.backends.planners.cost import Cost
from freshet.backends.planners.trie import Branch, Trie
from freshet.errors import PlannerError
from freshet.types import Usage

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel
    from transformers.modeling_outputs import CausalLMOutputWithPast

CACHE_BYTES = 256 * 2**20
"""Keys and values copied for one forward pass of continuations stay under this size."""


@dataclass(frozen=True, slots=True)
class Read:
    """Prompts that a model has read.

    Attributes:
        tokens: (n, p).
        layers: keys and values (n, heads, p, width) per layer, or None if this model's memory of a prompt
            can't be shared among continuations.
    """

    tokens: Tensor
    layers: list[tuple[Tensor, Tensor]] | None

    @property
    def bytes_per_row(self) -> int:
        """What is copied for one continuation."""
        tensors = [self.tokens] if self.layers is None else [x for pair in self.layers for x in pair]
        return sum(tensor[:1].numel() * tensor.element_size() for tensor in tensors)


class Reader:
    """A causal language model that reads prompts once and scores continuations of them."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.cost = Cost.of(model)
        self.usage = Usage()
        knows = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._last_only = {"logits_to_keep": 1} if knows else {}

    def read(self, tokens: NDArray[np.int64]) -> tuple[Read, Tensor]:
        """Read prompts (n, p); returns them with the logits (n, vocabulary) of the next token."""
        import torch

        ids = torch.from_numpy(tokens).to(self.model.device)
        with torch.inference_mode():
            output = self.model(input_ids=ids, use_cache=True, **self._last_only)
        self._count(len(ids), ids.shape[1], 0)
        return Read(ids, _shareable(output)), _next(output)

    def follow(self, read: Read, rows: NDArray[np.int64], suffixes: NDArray[np.int64]) -> Tensor:
        """Logits (m, vocabulary) after prompt `rows[i]` continued by `suffixes[i]`, (m, s)."""
        import torch

        size = max(1, CACHE_BYTES // read.bytes_per_row)
        parts = [
            self._follow(read, rows[start : start + size], suffixes[start : start + size])
            for start in range(0, len(rows), size)
        ]
        return torch.cat(parts)

    def _follow(self, read: Read, rows: NDArray[np.int64], suffixes: NDArray[np.int64]) -> Tensor:
        import torch
        from transformers import DynamicCache

        device = self.model.device
        index = torch.from_numpy(rows).to(device)
        ids = torch.from_numpy(suffixes).to(device)
        before = read.tokens.shape[1]
        with torch.inference_mode():
            if read.layers is None:
                ids, before = torch.cat([read.tokens[index], ids], dim=1), 0
                output = self.model(input_ids=ids, use_cache=False, **self._last_only)
            else:
                cache = DynamicCache([(keys[index], values[index]) for keys, values in read.layers])
                output = self.model(input_ids=ids, past_key_values=cache, use_cache=True, **self._last_only)
        self._count(len(ids), ids.shape[1], before)
        return _next(output)

    def _count(self, rows: int, length: int, before: int) -> None:
        tokens = rows * length
        flops = self.cost.forward(tokens, before + (length + 1) / 2, rows)
        self.usage += Usage(tokens, flops)


def _next(output: CausalLMOutputWithPast) -> Tensor:
    """Logits (n, vocabulary) after the last token."""
    if output.logits is None:
        raise PlannerError("the model returned no logits", hint="use a causal language model")
    return output.logits[:, -1].float()


def _shareable(output: CausalLMOutputWithPast) -> list[tuple[Tensor, Tensor]] | None:
    """Keys and values per layer, if they are plain tensors that may be copied row by row.

    Sliding windows, linear attention and state spaces are not; for those every continuation is read in
    full, which is slower and as exact.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    cache = output.get("past_key_values")
    if not isinstance(cache, DynamicCache):
        return None
    layers = []
    for layer in cache.layers:
        if type(layer) is not DynamicLayer or layer.keys is None or layer.values is None:
            return None
        layers.append((layer.keys, layer.values))
    return layers


def distribution(reader: Reader, trie: Trie, prompts: NDArray[np.int64], beam: int) -> NDArray[np.float64]:
    """Log-probabilities (n, N) of all names after prompts (n, p); -inf under nodes outside the beam.

    A model that answers with a number that isn't finite leaves NaN in that prompt's row.
    """
    logp = np.full((len(prompts), trie.size), -np.inf)
    if not trie.branches:
        return np.zeros_like(logp)
    root = trie.branches[0]
    forced = np.tile(np.array(root.path, np.int64), (len(prompts), 1))
    read, logits = reader.read(np.concatenate([prompts, forced], axis=1))
    rows, nodes = np.arange(len(prompts)), np.zeros(len(prompts), np.int64)
    mass = np.zeros(len(prompts))
    scored = [(rows, root, mass, logits)]
    while scored:
        rows, nodes, mass = _settle(scored, logp)
        keep = _widest(rows, nodes, mass, beam)
        rows, nodes, mass = rows[keep], nodes[keep], mass[keep]
        scored = list(_visit(reader, read, trie, rows, nodes, mass))
    return logp


Scored = tuple[NDArray[np.int64], Branch, NDArray[np.float64], "Tensor"]
"""Prompt rows (m,) at one branch, their log-probability of reaching it, and logits (m, vocabulary)."""


def _settle(
    scored: list[Scored], logp: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Write the names that are decided into `logp`; return the branches reached: row, branch, mass."""
    import torch

    found = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    for rows, branch, mass, logits in scored:
        choice = logits[:, torch.from_numpy(branch.tokens).to(logits.device)].double()
        score = mass[:, None] + torch.log_softmax(choice, dim=1).cpu().numpy()  # (rows, children)
        leaf = branch.targets < 0
        logp[np.ix_(rows, ~branch.targets[leaf])] = score[:, leaf]
        logp[rows[~np.isfinite(score).all(axis=1)]] = np.nan
        inner = np.flatnonzero(~leaf)
        found.append(
            (
                np.repeat(rows, len(inner)),
                np.tile(branch.targets[inner], len(rows)),
                score[:, inner].ravel(),
            )
        )
    rows, nodes, mass = (np.concatenate(column) for column in zip(*found, strict=True))
    return rows, nodes, mass


def _widest(
    rows: NDArray[np.int64], nodes: NDArray[np.int64], mass: NDArray[np.float64], beam: int
) -> NDArray[np.int64]:
    """Positions of the `beam` branches with the largest mass of each row; ties by branch."""
    order = np.lexsort((nodes, -mass, rows))
    _, first, count = np.unique(rows[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(first, count)
    return order[rank < beam]


def _visit(
    reader: Reader,
    read: Read,
    trie: Trie,
    rows: NDArray[np.int64],
    nodes: NDArray[np.int64],
    mass: NDArray[np.float64],
) -> Iterator[Scored]:
    """Score the kept branches: one pass per length of path, since equal lengths need no padding."""
    skip = len(trie.branches[0].path)
    paths = [trie.branches[node].path[skip:] for node in nodes]
    lengths = np.array([len(path) for path in paths], np.int64)
    for length in np.unique(lengths):
        where = np.flatnonzero(lengths == length)
        suffixes = np.array([paths[i] for i in where], np.int64)
        logits = reader.follow(read, rows[where], suffixes)
        for node in np.unique(nodes[where]):
            mine = np.flatnonzero(nodes[where] == node)
            yield rows[where][mine], trie.branches[node], mass[where][mine], logits[mine]
