"""How fast a log moves, and the lengths of time that follow from it.

A busy log is measured by weeks, a slow one by months: windows must hold enough events to measure anything.
The pace is measured once, when interests are built, so that later refreshes speak of the same windows; what
the configuration says itself always holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from statistics import median
from typing import Any

from freshet.core.config import Config

WINDOWS = (7, 28, 91)
POPULARITY = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Half-lives of recent popularity, in windows: how much each counts is fitted."""
STEADY = 4
"""Which of them transitions are shrunk to: fads don't decide what follows what (decision 30)."""
TRANSITIONS = (8.0, 16.0, 32.0, 64.0, 128.0)
"""Half-lives of transitions that are tried, in windows."""
ENOUGH = 250
"""Events a window should hold."""
ENOUGH_TO_FIT = 5_000
"""Events the held-out windows should hold together."""
BURST = 20
"""Times the usual (median) day that a day's events count for, at most."""


@dataclass(frozen=True, slots=True)
class Scales:
    """Lengths of time, in days, except `fit_windows` (a number of windows).

    Attributes:
        half_lives: of recent popularity, ascending.
        steady: which of `half_lives` transitions are shrunk to.
        transition_half_lives: of transitions, ascending; held-out windows decide between them.
    """

    window_days: int
    fit_windows: int
    half_lives: tuple[float, ...]
    steady: int
    transition_half_lives: tuple[float, ...]
    evidence_days: int

    def as_dict(self) -> dict[str, Any]:
        lists = {"half_lives": self.half_lives, "transition_half_lives": self.transition_half_lives}
        return {**asdict(self), **{name: list(values) for name, values in lists.items()}}

    def some(self, *names: str) -> dict[str, Any]:
        """Those that a step reads, for its key."""
        found = self.as_dict()
        return {name: found[name] for name in names}


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a log is (events per day over its last year) and how long (days from first to last)."""

    events_per_day: float
    days: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def holdout_starts(scales: Scales, now: int) -> list[int]:
    """Starts of the held-out windows before a day, oldest first; days since 1970.

    Windows start at multiples of their length since 1970, so that refreshes within one window have the
    same windows; the last one holds what has come since its start.
    """
    last = (now - 1) // scales.window_days * scales.window_days
    return [last - i * scales.window_days for i in range(scales.fit_windows, -1, -1)]


def measure(days: Sequence[tuple[date, int]]) -> Pace:
    """The pace of a log, from (day, events) of the days before as_of.

    A day counts for `BURST` times a usual one at most: a bot's hour makes no slow log a fast one.
    """
    last = max(day for day, _ in days)
    recent = [(day, rows) for day, rows in days if day > last - timedelta(days=365)]
    span = (last - min(day for day, _ in recent)).days + 1
    most = BURST * median(rows for _, rows in recent)
    events = sum(min(rows, most) for _, rows in recent)
    return Pace(events / span, (last - min(day for day, _ in days)).days)


def resolve(pace: Pace, config: Config) -> Scales:
    """Fill in what the configuration leaves to `auto`."""
    rate, counts, evidence = pace.events_per_day, config.counts, config.evidence
    window = (
        next((w for w in WINDOWS if w * rate >= ENOUGH), WINDOWS[-1])
        if counts.window_days == "auto"
        else counts.window_days
    )
    # no more than a quarter of the log is held out
    most = max(1, pace.days // (4 * window))
    wanted = min(12, max(4, round(ENOUGH_TO_FIT / max(window * rate, 1))))
    given, lasting = counts.half_lives, counts.transition_half_life
    half_lives = tuple(window * length for length in POPULARITY) if given == "auto" else tuple(sorted(given))
    return Scales(
        window,
        min(wanted, most) if counts.fit_windows == "auto" else counts.fit_windows,
        half_lives,
        STEADY if given == "auto" else len(half_lives) // 2,
        tuple(window * length for length in TRANSITIONS) if lasting == "auto" else (lasting,),
        window * 8 if evidence.window_days == "auto" else evidence.window_days,
    )
