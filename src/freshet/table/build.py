"""Fusing: planner scores where there are any, count scores everywhere, one ranked row per context."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.ports import Progress, silent
from freshet.table.eligibility import Rules
from freshet.types import BoolArray, Scores

BLOCK = 2048
"""Rows fused at a time; bounds memory."""

ARRAYS = ("successors", "planner", "count", "fused")

Score = Callable[[NDArray[np.int16], BoolArray], Scores]
"""(contexts (n, k), excluded (n, N)) -> scores; `freshet.counts.Scorer` is one."""


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
    interests = len(rules.barred)
    width = min(width, interests)
    np.save(into / "contexts.npy", contexts, allow_pickle=False)
    out = {
        name: np.lib.format.open_memmap(
            into / f"{name}.npy",
            mode="w+",
            dtype=np.int16 if name == "successors" else np.float32,
            shape=(len(contexts), width),
        )
        for name in ARRAYS
    }
    for start in range(0, len(contexts), BLOCK):
        block = contexts[start : start + BLOCK]
        scores = score(block, rules.excluded(block))
        # stable sort of the negated score: ties go to the lower index
        ranked = np.argsort(-scores.fused, axis=1, kind="stable")[:, :width]
        fused = np.take_along_axis(scores.fused, ranked, axis=1)
        offered = np.isfinite(fused)
        rows = slice(start, start + len(block))
        out["successors"][rows] = np.where(offered, ranked, -1)
        out["fused"][rows] = fused
        out["count"][rows] = np.take_along_axis(scores.count, ranked, axis=1)
        out["planner"][rows] = (
            np.nan if scores.planner is None else np.take_along_axis(scores.planner, ranked, axis=1)
        )
        progress(start + len(block), len(contexts))
    for array in out.values():
        array.flush()
