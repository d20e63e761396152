"""What is fitted of the counts on held-out windows: half-life, prior counts, a planner's share, weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import NotEnoughData
from freshet.core.types import AsOf, Mixture
from freshet.run_context import LogSnapshot
from freshet.stages import counts
from freshet.stages.counts.holdout_windows import HoldoutWindows, Stretch
from freshet.stages.counts.log_counts import LogCounts
from freshet.stages.counts.mixture import FEWEST
from freshet.stages.counts.prior_counts import STAND_IN_COUNTS

ENOUGH = 300
"""Held-out transitions of a length class that let it have weights of its own."""
SPREAD = 1.0
"""What is believed of the weights beforehand: popularity alone, give or take so much. The few held-out
transitions of a platform of 150 people fit weights that lose to it; thousands outweigh it (decision 40).
"""
SPREAD_WITH_PRIOR = 0.3
"""The same where counts are shrunk to a planner's prior; then what it says is believed (decision 47)."""
NO_PRIOR = (0.0,)
"""The shares tried where no planner was asked beforehand."""
FeaturesOf = tuple[int, AsOf, float, tuple[float, ...], float]
"""Of what features are: window and start of a stretch; half-life, prior counts and share of its counts."""


@dataclass(frozen=True, slots=True)
class CountFit:
    """What was fitted of the counts on some windows.

    Attributes:
        half_life: of transitions, in days.
        prior_counts: pseudo-counts of shrinkage for context lengths 1..k.
        mixtures: weights by length class: users with no, one, several recent interests.
        unfitted: why nothing could be fitted, in words; popularity, or a planner that was asked beforehand,
            then stands in.
        share: of the planner in what counts after the last interest are shrunk to; 0 = popularity alone.
    """

    half_life: float
    prior_counts: tuple[float, ...]
    mixtures: tuple[Mixture, ...]
    unfitted: str = ""
    share: float = 0.0

    @property
    def weights(self) -> NDArray[np.float64]:
        """(length classes, F) weights of the features, by length of the context."""
        return np.stack([mixture.weights for mixture in self.mixtures])


class CountFits:
    """Fits counts on some of the windows held out before a moment.

    Args:
        log: what was known before it.
        k: context length.
        log_counts: sums and count models of the log.
    """

    def __init__(self, log: LogSnapshot, k: int, holdout: HoldoutWindows, log_counts: LogCounts) -> None:
        self.log = log
        self.k = k
        self.holdout = holdout
        self.counts = log_counts
        self.names = counts.feature_names(log.scales.half_lives, k)
        self._held_out: dict[tuple[int, AsOf, float, int, float], counts.HeldOut] = {}

    def informed(self, windows: Sequence[int]) -> int:
        """Held-out transitions of these windows that come after anything was counted."""
        return sum(len(part.held) for part in self._parts(windows) if self.counts.is_informed(part))

    def on(
        self,
        windows: Sequence[int],
        shares: Sequence[float] = NO_PRIOR,
        seen: dict[FeaturesOf, counts.Held] | None = None,
    ) -> CountFit:
        """Half-life and share, then prior counts, then weights, chosen one after the other.

        Args:
            windows: numbers of those to fit on.
            shares: of the planner that was asked beforehand, to choose from.
            seen: features from earlier fits, and from this one for later ones.

        Raises:
            NotEnoughData: they hold fewer than 20 transitions with others counted before them.
        """
        parts, informed = self._parts(windows), self.informed(windows)
        if informed < FEWEST:
            raise NotEnoughData(
                f"weights need at least {FEWEST} held-out transitions with others counted before them, "
                f"the last windows hold {informed}",
                hint="raise [counts] window_days or fit_windows, or import more events",
            )
        tried = [(days, share) for share in shares for days in self.log.scales.transition_half_lives]
        likelihood = [
            counts.likelihood_after_last([self._held(part, days, 1, share) for part in parts])
            for days, share in tried
        ]
        half_life, share = tried[int(np.argmax(likelihood))]
        prior_counts = counts.choose_prior_counts(
            [self._held(part, half_life, self.k, share) for part in parts], self.k
        )
        mixtures = self._mixtures(parts, half_life, prior_counts, share, {} if seen is None else seen)
        return CountFit(half_life, prior_counts, mixtures, share=share)

    def stand_in(self, why: str) -> CountFit:
        """What serves where nothing can be fitted.

        That is the popularity that transitions are shrunk to, and nothing else. Where a planner was asked
        beforehand it is what this and the few counts say after the last interest and after each recent one.
        """
        prior = self.log.prior is not None
        weights = self._believed(prior)
        users = len({user for window in self.holdout.windows for user in window.held.user.tolist()})
        held = sum(len(window.held) for window in self.holdout.windows)
        alone = Mixture(self.names, weights, weights, weights, held, users)
        usual = self.log.scales.transition_half_lives
        prior_counts = (STAND_IN_COUNTS,) * self.k if prior else counts.choose_prior_counts([], self.k)
        share = counts.STAND_IN if prior else 0.0
        return CountFit(usual[len(usual) // 2], prior_counts, (alone,) * 3, why, share)

    def _believed(self, prior: bool) -> NDArray[np.float64]:
        """(F,) what is believed of the weights beforehand.

        Args:
            prior: rows of the last interest are shrunk to what a planner says; without recent interests they
                are popularity.
        """
        weights = np.zeros(len(self.names))
        if prior:
            weights[[self.names.index("last"), self.names.index("recent")]] = 0.5
        else:
            weights[self.log.scales.steady] = 1.0
        return weights

    def _held(self, part: Stretch, half_life: float, longest: int, share: float) -> counts.HeldOut:
        """`LogCounts.held_out`, one for all fits: it remembers what it was asked."""
        key = part.window, part.start, half_life, longest, share
        if key not in self._held_out:
            self._held_out[key] = self.counts.held_out(part, half_life, longest, share)
        return self._held_out[key]

    def _parts(self, windows: Sequence[int]) -> list[Stretch]:
        within = set(windows)
        return [part for part in self.holdout.stretches if part.window in within]

    def _mixtures(
        self,
        parts: Sequence[Stretch],
        half_life: float,
        prior_counts: tuple[float, ...],
        share: float,
        seen: dict[FeaturesOf, counts.Held],
    ) -> tuple[Mixture, ...]:
        """What drives a person's next step differs with how much is known of them.

        Users without interests are few features and one prompt: they keep the weights of all, which hold out
        better than their own.
        """
        held, chosen = [], (half_life, prior_counts, share)
        for other in [key for key in seen if key[2:] != chosen]:  # one set of them is large enough
            del seen[other]
        for part in parts:
            key = part.window, part.start, *chosen
            if key not in seen:
                model = self.counts.model_of(part, half_life, prior_counts, share)
                seen[key] = counts.held_by_counts(model, part.held)
            held.append((seen[key], part.held))
        fit = partial(
            counts.fit,
            self.names,
            smooth=len(self.log.scales.half_lives),
            spread=[SPREAD_WITH_PRIOR if share else SPREAD] * len(self.names),
            centre=self._believed(share > 0),
        )
        everyone = fit([features for features, _ in held])
        own = []
        for length in (1, 2):
            some = [features.take(counts.length_class(rows.recent) == length) for features, rows in held]
            enough = sum(len(part.successor) for part in some) >= ENOUGH
            own.append(fit(some, everyone.weights) if enough else everyone)
        return everyone, *own
