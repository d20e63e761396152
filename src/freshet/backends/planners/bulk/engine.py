"""The engine: tokens of prompts in, the best names of each out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numba.core.errors import NumbaError
from numpy.typing import NDArray

from freshet.backends.planners.bulk import search
from freshet.backends.planners.bulk.plain import PlainReader
from freshet.backends.planners.bulk.search import Continuations
from freshet.backends.planners.bulk.shared import PORTIONS, SharedReader, why_not
from freshet.backends.planners.bulk.sharing import share
from freshet.backends.planners.bulk.trie import Trie
from freshet.backends.planners.decoder import DecoderCost, is_small, threads_for
from freshet.core.types import Ranking, Usage

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LONG = 16
"""Tokens of the long prompt of a first try, about."""

_FAILURES = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    NumbaError,
)
"""Of a first try with layers that need something else."""

AGREES = 1e-3
"""Logits of a shared and a plain pass may differ so much, relative to their spread."""


class Engine:
    """Ranks the names of a trie after prompts.

    Args:
        model: any causal language model in evaluation mode.
        trie: of the names, with at least one branch.

    Attributes:
        slow: why beginnings can't be shared with this model; '' where they are.
    """

    def __init__(self, model: PreTrainedModel, trie: Trie) -> None:
        self.model = model
        self.trie = trie
        columns = search.wanted(trie)
        self._tables = search.levels(trie, model.device)
        self._plain = PlainReader(model, columns)
        self.reader: SharedReader | PlainReader = self._plain
        self.slow = why_not(model)
        if not self.slow:
            for lean in (True, False):
                shared = SharedReader(model, columns, lean)
                self.slow = _disagreement(shared, self._plain)
                if not self.slow:
                    self.reader = shared
                    break

    def rank(self, prompts: Sequence[Sequence[int]], beam: int, top: int) -> Ranking:
        """The `top` best names of each prompt; rows with scores that aren't numbers hold NaN.

        Args:
            prompts: tokens of each prompt.
            beam: branches of the trie read per prompt and level.
        """
        count, width = len(prompts), min(top, self.trie.size)
        successors = np.full((count, width), -1, np.int16)
        logp = np.full((count, width), -np.inf, np.float32)
        if not count:
            return Ranking(successors, logp)
        root = list(self.trie.branches[0].path)
        whole = [[*prompt, *root] for prompt in prompts]

        branches = min(beam, max(self.trie.levels[1:], default=0))

        def work(portion: Any) -> Usage:
            usage = Usage()
            with torch.inference_mode():
                for reading in self.reader.readings(whole, portion, branches):
                    scores = search.search(reading, self._tables, self.trie.size, beam, width)
                    successors[reading.rows], logp[reading.rows] = _best(scores, width)
                    usage += reading.usage
            return usage

        workers = self._workers()
        with threads_for(self.model), self.reader.ready(), ThreadPoolExecutor(workers) as pool:
            usage = sum(pool.map(work, self.reader.portions(whole)), Usage())
        return Ranking(successors, logp, usage)

    def size(self, prompts: Sequence[Sequence[int]], beam: int) -> Usage:
        """Cost of ranking prompts if every beam is full at every level, which is the most it can be."""
        if not prompts:
            return Usage()
        root, cost = len(self.trie.branches[0].path), self.reader.cost
        lengths = np.array([len(prompt) for prompt in prompts], np.float64) + root
        shared = np.zeros_like(lengths)
        usage = Usage()
        if self.reader.shares:
            for group in share(prompts):
                shared[group.rows] = group.shared
                usage += Usage(group.shared, cost.forward(group.shared, (group.shared + 1) / 2, 0))
        own = lengths - shared
        usage += _forward(cost, own, shared, 1)
        for level, count in zip(self._tables[1:], self.trie.levels[1:], strict=True):
            visited = min(beam, count)
            new, before = float(level.lengths.mean()), float(level.starts.mean())
            if self.reader.shares:
                usage += _forward(cost, np.full_like(lengths, new), lengths + before, visited)
            else:
                usage += _forward(cost, lengths + before + new, np.zeros_like(lengths), visited)
        return usage

    def _workers(self) -> int:
        if self.model.device.type != "cpu" or not is_small(self.model):
            return 1
        return min(torch.get_num_threads(), PORTIONS)


def _forward(cost: DecoderCost, new: NDArray[np.float64], before: NDArray[np.float64], times: int) -> Usage:
    """Reading `new` tokens after `before` others, `times` times per prompt, one scored position each."""
    tokens = times * float(new.sum())
    attended = float((new * (before + (new + 1) / 2)).sum() / new.sum())
    return Usage(round(tokens), cost.forward(tokens, attended, times * len(new)))


def _best(scores: torch.Tensor, top: int) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """The `top` largest of each row of log-probabilities (n, N), ties by index; -inf is never an answer."""
    _, found = scores.topk(top, dim=1)
    index = found.sort(dim=1).values
    logp, order = scores.gather(1, index).clamp(max=0.0).sort(dim=1, descending=True, stable=True)
    names = index.gather(1, order).masked_fill(logp.isneginf(), -1)
    return names.cpu().numpy().astype(np.int16), logp.cpu().numpy()


def _disagreement(shared: SharedReader, plain: PlainReader) -> str:
    """Why shared passes can't be trusted with this model, or '' where they give the logits of plain ones.

    Read both ways: a short and a long prompt that begin alike, another one, and a continuation of each.
    """
    tokens = np.resize(shared.columns.cpu().numpy(), LONG + 6).tolist()
    prompts = [tokens[:3], [*tokens[:2], *tokens[3 : LONG + 5]], tokens[1:4]]
    ends = [tokens[5:6], tokens[4:6], tokens[2:3]]
    try:
        with torch.inference_mode(), shared.ready():
            read = [
                (*_both(reading, ends), reading.rows)
                for portion in shared.portions(prompts)
                for reading in shared.readings(prompts, portion, 1)
            ]
        expected, _ = plain.logits([*prompts, *(a + b for a, b in zip(prompts, ends, strict=True))])
    except _FAILURES as error:
        return f"a first try failed ({type(error).__name__}: {str(error).splitlines()[0][:100]})"
    bound = AGREES * max(1.0, float(expected.std()))
    for first, second, rows in read:
        difference = max(
            float((first - expected[rows]).abs().max()),
            float((second - expected[len(prompts) + rows]).abs().max()),
        )
        if not difference <= bound:
            return "shared and plain reading differ: its layers do more with a prompt, or are too coarse"
    return ""


def _both(reading: search.Reading, ends: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits after the prompts of a reading, and after one continuation of each."""
    first = reading.start()
    flat = np.array([token for row in reading.rows for token in ends[row]])
    lengths = np.array([len(ends[row]) for row in reading.rows])
    zero = np.zeros(len(reading.rows), np.int64)
    rows = np.arange(len(reading.rows))
    return first, reading.follow(Continuations(rows, zero, zero, flat, zero, lengths))
