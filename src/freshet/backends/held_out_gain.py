"""Whether a training still gains on held-out rows more than chance moves them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LEAST_GAIN = 1e-4
"""Gain (nats per row) below which nothing was gained, however sure it is."""


def gain(
    before: NDArray[np.float64], now: NDArray[np.float64], user: NDArray[np.integer]
) -> tuple[float, float]:
    """Mean of before - now, (n,) nll of the same rows, and its standard error.

    Users are the independent unit, not rows: what one does is alike. The mean is over rows, so the error is
    that of a ratio of sums over users. Where all rows are of one user there are only those to go by; a single
    row has an error of 0.
    """
    difference = before - now
    mean = float(difference.mean())
    _, number = np.unique(user, return_inverse=True)
    if number.max() == 0:
        number = np.arange(len(user))
    rows = np.bincount(number)
    if len(rows) < 2:
        return mean, 0.0
    off = np.bincount(number, difference) - mean * rows
    return mean, float(np.sqrt((off**2).sum() * len(rows) / (len(rows) - 1)) / len(user))


@dataclass
class HeldOutChecks:
    """Checks of one training on the same held-out rows, one after another.

    A check that gains more than its noise on the last such one is the new one to beat, so that slow gains add
    up; what is kept is the best of all checks.

    Args:
        user: (n,) whose the held-out rows are.
        patience: checks without such a gain that end the training.

    Attributes:
        best: nats per row of the best check so far.
        noise: standard error of the last gain, nats per row; None before a second check.
        checks: made so far.
    """

    user: NDArray[np.integer]
    patience: int
    best: float = float("inf")
    noise: float | None = None
    checks: int = 0
    _to_beat: NDArray[np.float64] | None = field(default=None, repr=False)
    _without: int = 0

    def better(self, nll: NDArray[np.float64]) -> bool:
        """Take down a check, (n,) nats; whether it is the best so far."""
        self.checks += 1
        if self._to_beat is None:
            self._to_beat = nll
        else:
            gained, self.noise = gain(self._to_beat, nll, self.user)
            if gained > max(self.noise, LEAST_GAIN):
                self._to_beat, self._without = nll, 0
            else:
                self._without += 1
        mean = float(nll.mean())
        found = mean < self.best
        self.best = min(mean, self.best)
        return found

    @property
    def enough(self) -> bool:
        """Whether the last checks have gained nothing beyond noise."""
        return self._without >= self.patience
