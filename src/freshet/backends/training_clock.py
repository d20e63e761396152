"""The machine's time as the last resort that ends a training."""

from __future__ import annotations

from time import monotonic

from freshet.core.ports import Budget


class TrainingClock:
    """Counts the steps of one training, over all its phases, and ends one phase where the time is up.

    A training that was stopped before ends after the same number of steps, whatever the time is now. What
    comes after the stopped phase (learning anew for the epochs that a search found) isn't stopped again.

    Attributes:
        steps: counted so far.
        stopped_after: steps after which a phase was ended; None = none was.
    """

    def __init__(self, budget: Budget) -> None:
        self.steps = 0
        self.stopped_after: int | None = None
        self._known = budget.stopped_after
        self._until = monotonic() + budget.seconds

    def ends(self, more: bool) -> bool:
        """Count a step; whether the phase ends with it, though `more` steps would come."""
        self.steps += 1
        if not more or self.stopped_after is not None:
            return False
        over = monotonic() >= self._until if self._known is None else self.steps == self._known
        if over:
            self.stopped_after = self.steps
        return over
