"""A table of known scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Eligibility, Interests, Scores
from freshet.stages import table
from freshet.stages.counts import log_softmax

TRIPLES = np.array([[2, 1, 0], [0, 1, 2], [0, 1, 2]], np.int16)


def interests(size: int) -> Interests:
    """Interests with ids 100, 101, ... and descriptions `name 0`, `name 1`, ..."""
    names = tuple(f"name {i}" for i in range(size))
    return Interests(np.arange(100, 100 + size, dtype=np.int32), names, np.zeros((size, 2), np.float32))


def rules(size: int, **named: tuple[str, ...]) -> table.Rules:
    eligibility = Eligibility(**{rule: frozenset(names) for rule, names in named.items()})
    return table.Rules.resolve(eligibility, interests(size))


def score(contexts: NDArray[np.int16], excluded: NDArray[np.bool_]) -> Scores:
    """Scores that depend on the context alone; ties are frequent."""
    size = excluded.shape[1]
    last = np.maximum(contexts[:, -1:], 0)
    raw = ((np.arange(size)[None, :] * 7 + last * 3) % 5).astype(np.float64)
    planner = log_softmax(raw[:, ::-1], excluded)
    return Scores(planner, log_softmax(raw, excluded), log_softmax(raw * 2 + raw[:, ::-1], excluded))


def build(
    folder: Path, size: int, k: int, width: int = 64, eligible: table.Rules | None = None
) -> tuple[table.Table, NDArray[np.int16], table.Rules]:
    """A table in a folder, the contexts it must cover, and its rules."""
    folder.mkdir(parents=True, exist_ok=True)
    contexts = table.enumerate_contexts(size, k, TRIPLES if k == 3 else None)
    eligible = eligible or rules(size)
    table.build(contexts, score, eligible, width, folder)
    return table.Table(folder, size), contexts, eligible
