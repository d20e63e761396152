"""The held-out windows at the end of a log, cut into the stretches between two refreshes.

Held-out transitions are scored by counts as old as those that serve: each window is cut at refreshes, and
counted as of the start of each stretch. How much the newest days weigh is thus fitted at the age at which
they are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from freshet.core.time_scales import holdout_starts
from freshet.core.types import AsOf, Transitions
from freshet.run_context import LogSnapshot

MOST_STRETCHES = 4
"""Stretches in a window: each needs a count model of its own."""


@dataclass(frozen=True, slots=True)
class Window:
    """Held-out transitions from `start` on; planners answer for them with evidence from before it."""

    start: AsOf
    held: Transitions


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is held out between two refreshes.

    Attributes:
        window: number of its window.
        start: the moment of the refresh: features are counted before it.
        rows: which rows of the window's transitions, ascending.
        held: those rows.
    """

    window: int
    start: AsOf
    rows: NDArray[np.int64]
    held: Transitions


class HoldoutWindows:
    """The windows that weights are fitted on.

    Args:
        log: what was known before as_of.
        limit: held-out transitions, at most; of more, a sample of users.
        refresh_days: days from one refresh to the next; weights are fitted for counts that get so old.
    """

    def __init__(self, log: LogSnapshot, limit: int, refresh_days: int) -> None:
        self.log = log
        self._limit_per_window = max(1, limit // (log.scales.fit_windows + 1))
        self._refresh_days = refresh_days

    @cached_property
    def spans(self) -> dict[AsOf, AsOf]:
        """Start and end of each window, oldest first; see `time_scales.holdout_starts`."""
        now = self.log.as_of.day_number
        starts = holdout_starts(self.log.scales, now)
        ends = [*starts[1:], now]
        return {
            AsOf.from_day_number(start): AsOf.from_day_number(end)
            for start, end in zip(starts, ends, strict=True)
            if start > 0
        }

    @cached_property
    def windows(self) -> list[Window]:
        """The windows in which anything happened, oldest first."""
        between, limit = self.log.transitions.between, self._limit_per_window
        found = [Window(start, between(start, end, limit)) for start, end in self.spans.items()]
        return [window for window in found if len(window.held)]

    @property
    def start(self) -> AsOf:
        """Start of the oldest window: a planner is tuned on what came before."""
        return self.windows[0].start if self.windows else self.log.as_of

    @cached_property
    def stretch_days(self) -> int:
        """Days of a stretch: those between refreshes, but at most `MOST_STRETCHES` stretches a window."""
        return max(self._refresh_days, -(-self.log.scales.window_days // MOST_STRETCHES))

    @cached_property
    def stretches(self) -> list[Stretch]:
        """The windows cut at refreshes, in the order of time."""
        return [part for number, window in enumerate(self.windows) for part in self.cut(number, window.held)]

    def cut(self, window: int, held: Transitions) -> list[Stretch]:
        """Transitions of a window by the refresh that they come after.

        Refreshes fall on the starts of windows; where they come less often than windows, on the first
        window's and on every `stretch_days` days from there.
        """
        longer = self.stretch_days > self.log.scales.window_days
        first = self.windows[0 if longer else window].start.day_number
        refresh = first + (held.day - first) // self.stretch_days * self.stretch_days
        found = []
        for day in np.unique(refresh).tolist():
            rows = np.flatnonzero(refresh == day)
            found.append(Stretch(window, AsOf.from_day_number(day), rows, held.take(rows)))
        return found

    def timed(self, window: Window) -> NDArray[np.void]:
        """What is held out in a window as records of `types.TRANSITION`, with times, in the same order."""
        return self.log.transitions.records(window.start, self.spans[window.start], self._limit_per_window)
