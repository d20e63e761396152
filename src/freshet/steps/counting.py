"""Step: counts before any moment, and the mixture fitted on the last held-out windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from freshet import counts
from freshet.steps.knowledge import Knowledge
from freshet.transitions.pool import day_name, day_number
from freshet.types import AsOf, Fusion, Mixture, Sums, Transitions

ENOUGH = 300
"""Held-out transitions of a length class that let it have weights of its own."""


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
        self._models: dict[AsOf, counts.CountModel] = {}

    def sums(self, moment: AsOf) -> tuple[list[Sums], list[Sums]]:
        """(popularity at each half-life, suffixes of length 1..k) before a moment."""
        if moment not in self._sums:
            log, scales = self.known.transitions, self.known.scales
            self._sums[moment] = (
                [log.sums(moment, half_life, 0) for half_life in scales.half_lives],
                [log.sums(moment, scales.transition_half_life, j) for j in range(1, self.k + 1)],
            )
        return self._sums[moment]

    def observed(self) -> NDArray[np.int16]:
        """(m, k) contexts seen in the log before as_of, the empty one included, in the table's order."""
        parts = [np.zeros((1, 0), np.int16), *(s.contexts for s in self.sums(self.known.as_of)[1])]
        padded = [np.pad(part, ((0, 0), (self.k - part.shape[1], 0)), constant_values=-1) for part in parts]
        return np.unique(np.concatenate(padded), axis=0)

    def model(self, moment: AsOf) -> counts.CountModel:
        """Counts before a moment, shrunk by the fitted strengths."""
        if moment not in self._models:
            self._models[moment] = self._build(moment, self.strengths)
        return self._models[moment]

    def base(self, moment: AsOf) -> NDArray[np.float64]:
        """(N,) the popularity before a moment that transitions are shrunk to; see `CountModel.base`."""
        half_lives = self.known.scales.half_lives
        sums = self.known.transitions.sums(moment, half_lives[len(half_lives) // 2], 0)
        [share] = counts.popularity_of([sums], len(self.known.interests))
        return np.asarray(share)

    def _build(self, moment: AsOf, strengths: Sequence[float]) -> counts.CountModel:
        popularity, suffixes = self.sums(moment)
        return counts.CountModel.build(popularity, suffixes, len(self.known.interests), strengths)

    @cached_property
    def spans(self) -> dict[AsOf, AsOf]:
        """Start and end of each held-out window, oldest first.

        Windows start at multiples of their length since 1970, so that refreshes within one window judge by
        the same windows; the last one holds what has come since its start.
        """
        scales, now = self.known.scales, day_number(str(self.known.as_of))
        last = (now - 1) // scales.window_days * scales.window_days
        starts = [last - i * scales.window_days for i in range(scales.fit_windows, -1, -1)]
        ends = [*starts[1:], now]
        return {
            AsOf.parse(day_name(start)): AsOf.parse(day_name(end))
            for start, end in zip(starts, ends, strict=True)
            if start > 0
        }

    @cached_property
    def windows(self) -> list[Window]:
        """The held-out windows in which anything happened, oldest first."""
        log = self.known.transitions
        found = [Window(start, log.between(start, end, self._share)) for start, end in self.spans.items()]
        return [window for window in found if len(window.held)]

    def held_moves(self, window: Window) -> NDArray[np.void]:
        """What is held out in a window as moves of `types.MOVE`, with times, in the same order."""
        return self.known.transitions.moves(window.start, self.spans[window.start], self._share)

    @property
    def _share(self) -> int:
        """Transitions held out per window, at most."""
        return max(1, self.limit // (self.known.scales.fit_windows + 1))

    @property
    def held_since(self) -> AsOf:
        """Start of the held-out windows: a planner is tuned on what came before."""
        return self.windows[0].start if self.windows else self.known.as_of

    @cached_property
    def strengths(self) -> tuple[float, ...]:
        """Pseudo-counts of shrinkage for context lengths 1..k, fitted on the held-out windows."""

        windows = [
            counts.HeldOut(partial(self._build, w.start), self.sums(w.start)[1], w.held) for w in self.windows
        ]
        return counts.choose_strengths(windows, self.k)

    @cached_property
    def mixtures(self) -> tuple[Mixture, ...]:
        """The fitted mixture of counts by length class: users with no, one, several recent interests.

        What drives a person's next step differs with how much is known of them. Users without interests are
        few features and one prompt: they keep the weights of all, which hold out better than their own.
        """
        held = [(counts.held_by_counts(self.model(w.start), w.held), w.held) for w in self.windows]
        everyone = counts.fit(self.names, [features for features, _ in held])
        own = []
        for length in (1, 2):
            parts = [features.take(counts.length_class(rows.recent) == length) for features, rows in held]
            enough = sum(len(part.successor) for part in parts) >= ENOUGH
            own.append(counts.fit(self.names, parts, everyone.weights) if enough else everyone)
        return everyone, *own

    @cached_property
    def count_weights(self) -> NDArray[np.float64]:
        """(length classes, F)"""
        return np.stack([mixture.weights for mixture in self.mixtures])

    def fused(
        self,
        answered: Sequence[tuple[Window, counts.PlannerScores]] | None,
        sequence: counts.SequenceLogits | None = None,
    ) -> Fusion | None:
        """The mixture of count score, planner score and sequence score, on users with a context.

        Args:
            answered: windows (or samples of them) with planner rows made with evidence from before each; None
                without a planner.
            sequence: a model trained before the windows; None without one.

        Returns:
            None where there is nothing but counts.
        """
        rest = None
        if sequence is not None:
            rest = [self._features(w.start, w.held.with_context(), None, sequence) for w in self.windows]
        if answered is None:
            return None if rest is None else counts.fuse((counts.COUNTS, counts.SEQUENCE), rest)
        held = [self._features(window.start, window.held, rows, sequence) for window, rows in answered]
        names = counts.FUSED if sequence is not None else (counts.COUNTS, counts.PLANNER)
        return counts.fuse(names, held, rest)

    def _features(
        self,
        moment: AsOf,
        held: Transitions,
        planner: counts.PlannerScores | None,
        sequence: counts.SequenceLogits | None,
    ) -> counts.Held:
        scorer = counts.Scorer(self.model(moment), self.count_weights, planner, sequence=sequence)
        return counts.held_by_all(scorer, held)

    def scorer(
        self,
        planner: counts.PlannerScores | None = None,
        mixture: Mixture | None = None,
        sequence: counts.SequenceLogits | None = None,
    ) -> counts.Scorer:
        """Scores as of now: counts alone, or fused by a mixture with what has a weight in it."""
        names = () if mixture is None else mixture.names
        return counts.Scorer(
            self.model(self.known.as_of),
            self.count_weights,
            planner if counts.PLANNER in names else None,
            None if mixture is None else mixture.weights,
            sequence if counts.SEQUENCE in names else None,
        )

    def scorer_at(self, moment: AsOf) -> counts.Scorer:
        """Counts before a moment, by the weights of now: what such counts would have scored."""
        return counts.Scorer(self.model(moment), self.count_weights)
