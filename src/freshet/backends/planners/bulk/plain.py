"""Reading prompts and continuations with any causal language model: every sequence in full, each time."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from freshet.backends.planners.bulk.search import Continuations
from freshet.backends.planners.decoder import DecoderCost
from freshet.core.errors import PlannerError
from freshet.core.types import Usage

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

TOKENS = 4096
"""Tokens of one forward pass."""


class PlainReader:
    """As `SharedReader`, for architectures whose memory of a prompt can't be shared: slower, as exact."""

    shares = False

    def __init__(self, model: PreTrainedModel, columns: NDArray[np.int64]) -> None:
        self.model = model
        self.columns = torch.from_numpy(columns).to(model.device)
        self.cost = DecoderCost.of(model)
        knows = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._last_only = {"logits_to_keep": 1} if knows else {}

    @contextmanager
    def ready(self) -> Iterator[None]:
        yield

    def portions(self, prompts: Sequence[Sequence[int]]) -> list[NDArray[np.int64]]:
        """Rows of one length each."""
        lengths = np.array([len(prompt) for prompt in prompts])
        found = []
        for length in np.unique(lengths).tolist():
            rows = np.flatnonzero(lengths == length)
            found += np.array_split(rows, max(1, len(rows) * length // TOKENS))
        return found

    def readings(
        self,
        prompts: Sequence[Sequence[int]],
        rows: NDArray[np.int64],
        branches: int,  # noqa: ARG002
    ) -> Iterator[PlainReading]:
        yield PlainReading(self, rows, [list(prompts[row]) for row in rows])

    def logits(self, sequences: Sequence[Sequence[int]]) -> tuple[Tensor, Usage]:
        """Logits (n, columns) after each sequence; a pass holds sequences of one length: no padding."""
        lengths = np.array([len(sequence) for sequence in sequences])
        found = torch.empty(len(sequences), len(self.columns), device=self.model.device)
        usage = Usage()
        for rows in self.portions(sequences):
            ids = torch.tensor([list(sequences[row]) for row in rows], device=self.model.device)
            with torch.inference_mode():
                logits = self.model(input_ids=ids, use_cache=False, **self._last_only).logits
            if logits is None:
                raise PlannerError("the model returned no logits", hint="use a causal language model")
            found[torch.from_numpy(rows).to(found.device)] = logits[:, -1, self.columns].float()
            length = int(lengths[rows[0]])
            usage += Usage(ids.numel(), self.cost.forward(ids.numel(), (length + 1) / 2, len(rows)))
        return found, usage


@dataclass(slots=True)
class PlainReading:
    """As `SharedReading`; keeps the tokens of every continuation."""

    reader: PlainReader
    rows: NDArray[np.int64]
    prompts: list[list[int]]
    usage: Usage = field(default_factory=Usage)
    paths: dict[tuple[int, int], list[int]] = field(default_factory=dict)

    def start(self) -> Tensor:
        return self._logits(self.prompts)

    def follow(self, new: Continuations) -> Tensor:
        pieces = np.split(new.tokens, np.cumsum(new.lengths)[:-1])
        rows = new.rows.tolist()
        before = [self.paths.get(at, []) for at in zip(rows, new.parents.tolist(), strict=True)]
        paths = [[*path, *more.tolist()] for path, more in zip(before, pieces, strict=True)]
        self.paths = dict(zip(zip(rows, new.slots.tolist(), strict=True), paths, strict=True))
        return self._logits([[*self.prompts[row], *path] for row, path in zip(rows, paths, strict=True)])

    def _logits(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        logits, usage = self.reader.logits(sequences)
        self.usage += usage
        return logits
