"""Step: counts before any moment, and the mixture fitted on the last held-out windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from freshet import counts
from freshet.steps.knowledge import Knowledge
from freshet.transitions.pool import day_name, day_number
from freshet.types import AsOf, Context, Mixture, Sums, Transitions


@dataclass(frozen=True, slots=True)
class Window:
    """Held-out transitions from `start` on, and the moment before which their features are counted."""

    start: AsOf
    held: Transitions


class Counting:
    """Everything counted for one moment; sums are computed once and shared by all uses.

    Args:
        known: what was known before as_of.
        k: context length.
        limit: at most so many held-out transitions.
    """

    def __init__(self, known: Knowledge, k: int, limit: int) -> None:
        self.known = known
        self.k = k
        self.limit = limit
        self.names = counts.feature_names(known.scales.half_lives, k)
        self._sums: dict[AsOf, tuple[list[Sums], list[Sums]]] = {}

    def sums(self, moment: AsOf) -> tuple[list[Sums], list[Sums]]:
        """(popularity at each half-life, suffixes of length 1..k) before a moment."""
        if moment not in self._sums:
            log, scales = self.known.transitions, self.known.scales
            self._sums[moment] = (
                [log.sums(moment, half_life, 0) for half_life in scales.half_lives],
                [log.sums(moment, scales.transition_half_life, j) for j in range(1, self.k + 1)],
            )
        return self._sums[moment]

    def observed(self) -> list[Context]:
        """Contexts that occur in the log before as_of, sorted."""
        found: set[Context] = {()}
        for sums in self.sums(self.known.as_of)[1]:
            found.update(tuple(context) for context in sums.contexts.tolist())
        return sorted(found)

    def model(self, moment: AsOf, strengths: Sequence[float] | None = None) -> counts.CountModel:
        """Counts before a moment, shrunk by the fitted strengths unless others are given."""
        popularity, suffixes = self.sums(moment)
        chosen = self.strengths if strengths is None else strengths
        return counts.CountModel.build(popularity, suffixes, len(self.known.interests), chosen)

    @cached_property
    def windows(self) -> list[Window]:
        """The last held-out windows, oldest first.

        Windows start at multiples of their length since 1970, so that refreshes within one window judge by
        the same windows; the last one holds what has come since its start.
        """
        scales, now = self.known.scales, day_number(str(self.known.as_of))
        last = (now - 1) // scales.window_days * scales.window_days
        starts = [last - i * scales.window_days for i in range(scales.fit_windows, -1, -1)]
        ends = [*starts[1:], now]
        share = max(1, self.limit // len(starts))
        found = [
            Window(moment, self.known.transitions.between(moment, AsOf.parse(day_name(end)), share))
            for start, end in zip(starts, ends, strict=True)
            if start > 0
            for moment in [AsOf.parse(day_name(start))]
        ]
        return [window for window in found if len(window.held)]

    @property
    def held_since(self) -> AsOf:
        """Start of the held-out windows: a planner is tuned on what came before."""
        return self.windows[0].start if self.windows else self.known.as_of

    @cached_property
    def strengths(self) -> tuple[float, ...]:
        """Pseudo-counts of shrinkage for context lengths 1..k, fitted on the held-out windows."""

        def builder(moment: AsOf) -> counts.strengths.Build:
            return lambda strengths: self.model(moment, strengths)

        return counts.choose_strengths([(builder(w.start), w.held) for w in self.windows], self.k)

    @cached_property
    def mixture(self) -> Mixture:
        """The fitted mixture of counts, without a planner."""
        held = [counts.held_out(self.model(w.start), w.held) for w in self.windows]
        return counts.fit(self.names, held)

    def with_planner(self, rows: Sequence[tuple[Window, counts.PlannerScores]]) -> Mixture:
        """The mixture with the planner's score as its last feature.

        Args:
            rows: windows (or samples of them) with planner rows made with evidence from before each.
        """
        held = [
            counts.held_out(self.model(window.start), window.held, self.mixture.weights, planner)
            for window, planner in rows
        ]
        return counts.fit((*self.names, counts.PLANNER), held)

    def scorer(
        self, planner: counts.PlannerScores | None = None, mixture: Mixture | None = None
    ) -> counts.Scorer:
        """Scores as of now: counts alone, or fused with planner rows by a mixture that has a planner."""
        weights = None if mixture is None else np.asarray(mixture.weights)
        return counts.Scorer(self.model(self.known.as_of), self.mixture.weights, planner, weights)
