"""The planner without a model: the counts' own distribution, behind the same port."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from freshet.backends.planners.answers import best
from freshet.core.errors import PlannerError
from freshet.core.ports import Planner
from freshet.core.types import Context, FloatArray, Prompt, Ranking, Usage

Rows = Callable[[Sequence[Context]], FloatArray]
"""Log-probabilities (n, N) of all interests after each context."""


class CountsPlanner(Planner):
    """Ranks by counts; the wording of a prompt plays no part.

    Args:
        rows: log-probabilities of all interests after contexts.
        version: identity of the counts behind `rows`.
    """

    def __init__(self, rows: Rows, version: str = "counts") -> None:
        self._rows = rows
        self._version = version

    @property
    def version(self) -> str:
        return self._version

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        logp = np.asarray(self._rows([prompt.context for prompt in prompts]), np.float64)
        if logp.ndim != 2 or len(logp) != len(prompts):
            raise PlannerError(
                f"the counts gave an array of shape {logp.shape} for {len(prompts)} contexts",
                hint="`rows` returns one row of log-probabilities per context",
            )
        bad = np.flatnonzero(np.isnan(logp).any(axis=1))
        if len(bad):
            raise PlannerError(f"the counts of context {prompts[bad[0]].context} are not numbers")
        return best(logp, top)

    def size(self, prompts: Sequence[Prompt]) -> Usage:  # noqa: ARG002
        """Nothing is read and nothing computed that is worth counting."""
        return Usage()
