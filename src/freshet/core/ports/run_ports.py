"""Who watches a run, how much a training may take, and when a refresh is due."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from freshet.core.types import (
    CadenceDecision,
    Signs,
)

Progress = Callable[[int, int], None]
"""Called with (done, total) as long work goes on."""


def silent(done: int, total: int) -> None:
    """A Progress that shows nothing."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one training may take; it may end earlier by its own recipe.

    Steps decide: jobs that are equal give equal weights, however busy the machine is. Seconds are a stop of
    last resort, which the report names; what it cut short is made again by the steps it had reached.

    Attributes:
        steps: of the optimiser, at most; None = as many as the recipe gives for the rows of the job.
        seconds: after which the step in hand is the last one; infinite for a training that was made before.
        stopped_after: steps after which the clock ended this very training before: it ends there again.
    """

    steps: int | None = None
    seconds: float = 3600.0
    stopped_after: int | None = None

    def of(self, steps: int) -> int:
        """How many of the steps of a recipe are made, at least one."""
        return max(1, steps if self.steps is None else min(steps, self.steps))


@dataclass(frozen=True, slots=True)
class Looks:
    """Which costly signs a cadence policy looks at; those it doesn't are left empty.

    Attributes:
        rows: transitions before today and before the last refresh.
        staleness: what old counts cost, against those of the day.
    """

    rows: bool = False
    staleness: bool = False


class CadencePolicy(Protocol):
    """Decides on which days the fast path is due."""

    @property
    def looks(self) -> Looks:
        """What it looks at beside days, traffic and cost."""

    def decide(self, signs: Signs) -> CadenceDecision:
        """Whether to refresh on the day of the signs; the same signs give the same decision."""
