"""Fusing: planner scores where there are any, count scores everywhere, one ranked row per context."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.ports import Progress, silent
from freshet.core.types import BoolArray, Scores
from freshet.stages.table.eligibility import Rules

BLOCK = 512
"""Rows fused at a time; bounds memory, and larger blocks are slower: they leave the cache."""

TYPES = {"successors": "<i2", "planner": "<f4", "count": "<f4", "fused": "<f4"}
ARRAYS = tuple(TYPES)

Score = Callable[[NDArray[np.int16], BoolArray], Scores]
"""(contexts (n, k), excluded (n, N)) -> scores; `freshet.stages.counts.Scorer` is one."""


def build(
    contexts: NDArray[np.int16],
    score: Score,
    rules: Rules,
    width: int,
    into: Path,
    progress: Progress = silent,
) -> None:
    """Write a table: `contexts.npy` (C, k) and, each (C, width), `successors.npy` (-1 padded) and the
    log-probabilities `planner.npy` (NaN without a planner), `count.npy` and `fused.npy`, ranked by fused.

    Args:
        contexts: (C, k) as `enumerate_contexts` lists them.
        score: of every interest for a block of contexts.
        rules: eligibility; a context's own interests are never offered.
        width: successors per row.
    """
    interests = len(rules.never)
    width = min(width, interests)
    np.save(into / "contexts.npy", contexts, allow_pickle=False)
    with ExitStack() as stack:
        out = {name: stack.enter_context((into / f"{name}.npy").open("wb")) for name in ARRAYS}
        for name, file in out.items():
            header = {"descr": TYPES[name], "fortran_order": False, "shape": (len(contexts), width)}
            np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(contexts), BLOCK):
            block = contexts[start : start + BLOCK]
            scores = score(block, rules.excluded(block))
            ranked = best_of(scores.fused, width)
            fused = np.take_along_axis(scores.fused, ranked, axis=1)
            rows = {  # each (block, width)
                "successors": np.where(np.isfinite(fused), ranked, -1),
                "planner": np.full(ranked.shape, np.nan)
                if scores.planner is None
                else np.take_along_axis(scores.planner, ranked, axis=1),
                "count": np.take_along_axis(scores.count, ranked, axis=1),
                "fused": fused,
            }
            # written, not mapped: a full disk is an error then, under a map it kills the process
            for name, file in out.items():
                file.write(rows[name].astype(TYPES[name]).tobytes())
            progress(start + len(block), len(contexts))


def best_of(scores: NDArray[np.float64], width: int) -> NDArray[np.int64]:
    """(n, width) places of the largest of scores (n, N), best first; ties go to the lower place."""
    negated = -scores
    if 4 * width > scores.shape[1]:
        return np.argsort(negated, axis=1, kind="stable")[:, :width]
    some = np.sort(np.argpartition(negated, width - 1, axis=1)[:, :width], axis=1)
    values = np.take_along_axis(negated, some, axis=1)
    ranked = np.take_along_axis(some, np.argsort(values, axis=1, kind="stable"), axis=1)
    # where the last place is tied, a partition takes any of the tied
    tied = (negated <= values.max(axis=1, keepdims=True)).sum(axis=1) > width
    if tied.any():
        ranked[tied] = np.argsort(negated[tied], axis=1, kind="stable")[:, :width]
    return ranked
