"""Ranking a chunk of prompts of which some can't be ranked: those fail alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from freshet.core.errors import PlannerError, PlannerGone
from freshet.core.types import Prompt, Ranking

if TYPE_CHECKING:
    from freshet.core.ports.planner_port import Planner


def rank_isolated(planner: Planner, prompts: Sequence[Prompt], top: int) -> Ranking:
    """A ranking of exactly `top` columns that raises no error of the planner.

    A prompt that can't be ranked has an empty row, and is named in `failures`. Where no further prompt will
    be answered, all rows are empty, and `gone` says why.
    """
    try:
        return _halved(planner, prompts, top)
    except PlannerGone as error:
        rows = len(prompts)
        nothing = np.zeros((rows, 0), np.int16), np.zeros((rows, 0), np.float32)
        return _wide(Ranking(*nothing, gone=str(error)), top)


def _halved(planner: Planner, prompts: Sequence[Prompt], top: int) -> Ranking:
    """Rank; where that fails, halve until the bad prompt is alone.

    Raises:
        PlannerGone: no further prompt will be answered.
    """
    try:
        return _wide(planner.rank(prompts, top), top)
    except PlannerGone:
        raise
    except PlannerError as error:
        if len(prompts) == 1:
            nothing = np.zeros((1, 0), np.int16), np.zeros((1, 0), np.float32)
            return _wide(Ranking(*nothing, failures=((0, str(error)),)), top)
    middle = len(prompts) // 2
    left = _halved(planner, prompts[:middle], top)
    right = _halved(planner, prompts[middle:], top)
    return Ranking(
        np.concatenate([left.successors, right.successors]),
        np.concatenate([left.logp, right.logp]),
        left.usage + right.usage,
        (*left.failures, *((row + middle, reason) for row, reason in right.failures)),
        left.gone or right.gone,
    )


def _wide(ranking: Ranking, top: int) -> Ranking:
    """The ranking with exactly `top` columns; a planner may find fewer."""
    missing = ((0, 0), (0, top - ranking.successors.shape[1]))
    return Ranking(
        np.pad(ranking.successors, missing, constant_values=-1),
        np.pad(ranking.logp, missing, constant_values=-np.inf),
        ranking.usage,
        ranking.failures,
        ranking.gone,
    )
