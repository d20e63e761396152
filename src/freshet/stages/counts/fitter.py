"""Step: counts before any moment, and the mixture fitted on the last held-out windows.

Held-out transitions are scored by counts as old as those that serve: each window is cut into stretches from
one refresh to the next, and counted as of the start of each. How much the newest days weigh is fitted at the
age at which they are used.

What is fused with the counts is judged where the counts were not fitted: windows are put into folds, and the
count scores of a fold come from half-lives, prior counts and weights that were chosen on the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from freshet.core.config import Config
from freshet.core.errors import NotEnoughData
from freshet.core.types import (
    CONTENT,
    AsOf,
    Centroids,
    ContentView,
    Fusion,
    Mixture,
    PlannerRows,
    Sums,
    Transitions,
)
from freshet.run_context import LogSnapshot
from freshet.stages import counts
from freshet.stages.counts.holdout_windows import HoldoutWindows, Stretch, Window
from freshet.stages.counts.log_counts import LogCounts
from freshet.stages.counts.mixture import FEWEST

ENOUGH = 300
"""Held-out transitions of a length class that let it have weights of its own."""
SPREAD = 1.0
"""What is believed of the weights beforehand: popularity alone, give or take so much. The few held-out
transitions of a platform of 150 people fit weights that lose to it; thousands outweigh it (decision 40).
"""
FOLDS = 4
"""Folds of windows, at most, in which fused scores are judged."""


@dataclass(frozen=True, slots=True)
class CountFit:
    """What was fitted of the counts on some windows.

    Attributes:
        half_life: of transitions, in days.
        prior_counts: pseudo-counts of shrinkage for context lengths 1..k.
        mixtures: weights by length class: users with no, one, several recent interests.
        unfitted: why nothing could be fitted, in words; the weights are then those of popularity alone.
    """

    half_life: float
    prior_counts: tuple[float, ...]
    mixtures: tuple[Mixture, ...]
    unfitted: str = ""

    @property
    def weights(self) -> NDArray[np.float64]:
        """(length classes, F) weights of the features, by length of the context."""
        return np.stack([mixture.weights for mixture in self.mixtures])


class CountFitter:
    """Counts before a moment, and the weights fitted on the windows held out before it.

    Sums are computed once and shared by all uses.

    Args:
        log: what was known before as_of.
        k: context length.
        limit: held-out transitions, at most.
        refresh_days: from one refresh to the next; weights are fitted for counts that get so old.

    Attributes:
        holdout: the windows that weights are fitted on.
        counts: sums and count models of the log.
        names: features of the mixture of counts.
    """

    def __init__(self, log: LogSnapshot, k: int, limit: int, refresh_days: int) -> None:
        self.log = log
        self.k = k
        self.holdout = HoldoutWindows(log, limit, refresh_days)
        self.names = counts.feature_names(log.scales.half_lives, k)
        self.counts = LogCounts(log, k, self.holdout)
        self._models: dict[AsOf, counts.CountModel] = {}

    def observed(self) -> NDArray[np.int16]:
        """(m, k) contexts seen in the log before as_of, the empty one included, in the table's order."""
        parts = [np.zeros((1, 0), np.int16), *(self.suffixes(j).contexts for j in range(1, self.k + 1))]
        padded = [np.pad(part, ((0, 0), (self.k - part.shape[1], 0)), constant_values=-1) for part in parts]
        return np.unique(np.concatenate(padded), axis=0)

    def suffixes(self, length: int) -> Sums:
        """Decayed counts before as_of by context of that length."""
        return self.counts.after(self.log.as_of, self.fit.half_life, length)

    def model(self, moment: AsOf) -> counts.CountModel:
        """Counts before a moment, by the half-life and the prior counts that were fitted."""
        if moment not in self._models:
            fit = self.fit
            self._models[moment] = self.counts.model(moment, fit.half_life, fit.prior_counts)
        return self._models[moment]

    @cached_property
    def fit(self) -> CountFit:
        """Fitted on all held-out windows: what scores from as_of on.

        Where some users alone are learned from, too few transitions leave popularity: what so small a
        platform would have.

        Raises:
            NotEnoughData: they hold fewer than 20 transitions, of all users.
        """
        informed = sum(len(part.held) for part in self.holdout.stretches if self.counts.is_informed(part))
        held = sum(len(window.held) for window in self.holdout.windows)
        if informed >= FEWEST or (held < FEWEST and self.log.learners is None):
            return self._fitted(range(len(self.holdout.windows)))
        days = len({day for window in self.holdout.windows for day in window.held.day.tolist()})
        return self._popularity_alone(
            f"nothing could be fitted: of {held:,} held-out transitions on {days} "
            f"{'day' if days == 1 else 'days'} only {informed:,} come after a day that could be counted, "
            f"and weights need {FEWEST}; interests are ranked by popularity alone"
        )

    @cached_property
    def unfounded(self) -> tuple[str, ...]:
        """Features of contexts that no held-out transition has: their weights say nothing."""
        longest = max((int((w.held.recent >= 0).sum(axis=1).max()) for w in self.holdout.windows), default=0)
        needed = dict(
            zip(self.names[len(self.log.scales.half_lives) :], (*range(1, self.k + 1), 1), strict=True)
        )
        return tuple(name for name, length in needed.items() if length > longest)

    def _popularity_alone(self, why: str) -> CountFit:
        """What stands in for a fit: the popularity that transitions are shrunk to, and nothing else."""
        weights = np.zeros(len(self.names))
        weights[self.log.scales.steady] = 1.0
        users = len({user for window in self.holdout.windows for user in window.held.user.tolist()})
        held = sum(len(window.held) for window in self.holdout.windows)
        alone = Mixture(self.names, weights, weights, weights, held, users)
        usual = self.log.scales.transition_half_lives
        prior_counts = counts.choose_prior_counts([], self.k)
        return CountFit(usual[len(usual) // 2], prior_counts, (alone,) * 3, why)

    @property
    def mixtures(self) -> tuple[Mixture, ...]:
        """The fitted mixture of counts by length class: users with no, one, several recent interests."""
        return self.fit.mixtures

    @property
    def count_weights(self) -> NDArray[np.float64]:
        """(length classes, F) weights of the features, by length of the context."""
        return self.fit.weights

    @cached_property
    def popular(self) -> int:
        """Which of the mixture's half-lives of popularity does best by itself.

        What is popular is offered by it where that is all that is offered: a baseline at its best.
        """
        return self.best_popularity(self.log.scales.half_lives)

    def best_popularity(self, half_lives: Sequence[float]) -> int:
        """Number of the half-life, in days, whose popularity alone predicts the held-out transitions best."""
        found = []
        for half_life in half_lives:
            shares = [self.counts.popularity(part.start, half_life) for part in self.holdout.stretches]
            parts = zip(shares, self.holdout.stretches, strict=True)
            found.append(sum(counts.log_likelihood_of(np.log(share), part.held) for share, part in parts))
        return int(np.argmax(found))

    @cached_property
    def folds(self) -> list[int]:
        """For each window its fold: neighbours are in one, since what drives a week drives the next day."""
        folds = min(FOLDS, len(self.holdout.windows))
        return [number * folds // len(self.holdout.windows) for number in range(len(self.holdout.windows))]

    @cached_property
    def fits(self) -> list[CountFit]:
        """For each fold what is fitted on the others; what is fitted on all where there are no others.

        Raises:
            NotEnoughData: the windows together hold fewer than 20 transitions.
        """
        found = []
        for fold in range(max(self.folds) + 1 if self.folds else 0):
            others = [number for number, of in enumerate(self.folds) if of != fold]
            try:
                found.append(self._fitted(others) if others else self.fit)
            except NotEnoughData:
                found.append(self.fit)
        return found

    def _fitted(self, windows: Sequence[int]) -> CountFit:
        """Half-life, prior_counts and weights, chosen one after the other on some of the windows."""
        within = set(windows)
        parts = [part for part in self.holdout.stretches if part.window in within]
        informed = sum(len(part.held) for part in parts if self.counts.is_informed(part))
        if informed < FEWEST:
            raise NotEnoughData(
                f"weights need at least {FEWEST} held-out transitions with others counted before them, "
                f"the last windows hold {informed}",
                hint="raise [counts] window_days or fit_windows, or import more events",
            )
        tried = self.log.scales.transition_half_lives
        likelihood = [
            counts.likelihood_after_last([self.counts.held_out(part, half_life, 1) for part in parts])
            for half_life in tried
        ]
        half_life = tried[int(np.argmax(likelihood))]
        prior_counts = counts.choose_prior_counts(
            [self.counts.held_out(part, half_life, self.k) for part in parts], self.k
        )
        return CountFit(half_life, prior_counts, self._mixtures(parts, half_life, prior_counts))

    def _mixtures(
        self, parts: Sequence[Stretch], half_life: float, prior_counts: tuple[float, ...]
    ) -> tuple[Mixture, ...]:
        """What drives a person's next step differs with how much is known of them.

        Users without interests are few features and one prompt: they keep the weights of all, which hold out
        better than their own.
        """
        held = [
            (counts.held_by_counts(self.counts.model_of(part, half_life, prior_counts), part.held), part.held)
            for part in parts
        ]
        popular = np.zeros(len(self.names))
        popular[self.log.scales.steady] = 1.0
        fit = partial(
            counts.fit,
            self.names,
            smooth=len(self.log.scales.half_lives),
            spread=[SPREAD] * len(self.names),
            centre=popular,
        )
        everyone = fit([features for features, _ in held])
        own = []
        for length in (1, 2):
            some = [features.take(counts.length_class(rows.recent) == length) for features, rows in held]
            enough = sum(len(part.successor) for part in some) >= ENOUGH
            own.append(fit(some, everyone.weights) if enough else everyone)
        return everyone, *own

    def scorer_of(
        self,
        part: Stretch,
        fusion: Fusion | None = None,
        sequence: counts.SequenceLogits | None = None,
        centroids: Centroids | None = None,
    ) -> counts.Scorer:
        """What a release made at the start of a stretch would have scored, by the weights of now."""
        model = self.counts.model_of(part, self.fit.half_life, self.fit.prior_counts)
        return self._fused(model, None, fusion, sequence, centroids)

    def fuse(
        self,
        answered: Sequence[tuple[Window, PlannerRows]] | None,
        sequence: counts.SequenceLogits | None = None,
        content: ContentView | None = None,
        *,
        relative: bool = False,
    ) -> Fusion | None:
        """The mixture of count score, planner score, sequence score and content, on users with a context.

        Args:
            answered: for each window a sample of its transitions, with planner rows made with evidence from
                before it; None without a planner.
            sequence: a model trained before the windows; None without one.
            content: vectors learned before the windows; None without content.
            relative: the planner's answers are relative to popularity.

        Returns:
            None where there is nothing but counts, or nothing could be fitted.
        """
        if (answered is None and sequence is None and content is None) or self.fit.unfitted:
            return None
        rest, sample, unplanned = counts.Blocks(), None, None
        for part in self.holdout.stretches:
            scorer = replace(self.cross_fitted(part), sequence=sequence)
            held = counts.held_by_all(scorer, part.held.with_context(), content)
            rest.add(self.folds[part.window], held)
        if answered is not None:
            sample = counts.Blocks()
            for number, (window, rows) in self._numbered(answered):
                for part in self.holdout.cut(number, window.held):
                    planner = self._planner(rows, part.start, relative)
                    scorer = replace(self.cross_fitted(part), planner=planner, sequence=sequence)
                    held = counts.held_by_all(scorer, part.held.with_context(), content)
                    sample.add(self.folds[number], held)
        if content is not None:
            unplanned = counts.Blocks()
            for part in self.holdout.stretches:
                some = _without_context(part.held, content)
                held = counts.held_by_all(self.cross_fitted(part), some, content)
                unplanned.add(self.folds[part.window], held)
        names = (counts.COUNTS, *((counts.SEQUENCE,) if sequence else ()), *(CONTENT if content else ()))
        return counts.fuse(rest, sample, names, unplanned)

    def _numbered(
        self, answered: Sequence[tuple[Window, PlannerRows]]
    ) -> Iterator[tuple[int, tuple[Window, PlannerRows]]]:
        numbers = {window.start: number for number, window in enumerate(self.holdout.windows)}
        for window, rows in answered:
            yield numbers[window.start], (window, rows)

    def _planner(self, rows: PlannerRows, moment: AsOf, relative: bool) -> counts.PlannerScores:
        """The planner's score before a moment; relative answers are multiplied by the popularity of then."""
        base = self.counts.base(moment) if relative else None
        return counts.PlannerScores(rows, len(self.log.interests), base)

    def cross_fitted(self, part: Stretch) -> counts.Scorer:
        """Counts before a stretch, fitted on other folds: as good there as they are on what comes next."""
        fit = self.fits[self.folds[part.window]]
        return counts.Scorer(self.counts.model_of(part, fit.half_life, fit.prior_counts), fit.weights)

    def scorer(
        self,
        planner: counts.PlannerScores | None = None,
        fusion: Fusion | None = None,
        sequence: counts.SequenceLogits | None = None,
        centroids: Centroids | None = None,
    ) -> counts.Scorer:
        """Scores as of now: counts alone, or fused by mixtures with what has a weight in them."""
        return self._fused(self.model(self.log.as_of), planner, fusion, sequence, centroids)

    def _fused(
        self,
        model: counts.CountModel,
        planner: counts.PlannerScores | None,
        fusion: Fusion | None,
        sequence: counts.SequenceLogits | None,
        centroids: Centroids | None,
    ) -> counts.Scorer:
        if fusion is None:
            return counts.Scorer(model, self.count_weights)
        used = fusion.used
        names = (counts.COUNTS,) if used is None else used.names
        part = counts.ContentPart.of(centroids, used, fusion.without_context)
        weights = None
        if used is not None:
            weights = np.array(
                [w for name, w in zip(names, used.weights, strict=True) if name in counts.FUSED]
            )
        elif part is not None:
            weights = np.ones(1)
        return counts.Scorer(
            model,
            self.count_weights,
            planner if counts.PLANNER in names else None,
            weights,
            sequence if counts.SEQUENCE in names else None,
            part,
        )

    def scorer_at(
        self, moment: AsOf, fusion: Fusion | None = None, centroids: Centroids | None = None
    ) -> counts.Scorer:
        """Counts before a moment, and content, by the weights of now: what these would have scored."""
        return self._fused(self.model(moment), None, fusion, None, centroids)


def _without_context(held: Transitions, content: ContentView) -> Transitions:
    """The rows of users who have no recent interest, but items."""
    rows = held.take(held.recent[:, -1] < 0)
    return rows.take(counts.has_profile(content.profiles(rows), len(rows)))


def fitter_for(config: Config, log: LogSnapshot, refresh_days: int | None = None) -> CountFitter:
    """Counts as configured; `refresh_days` where tables are refreshed otherwise than as configured."""
    days = refresh_days or config.schedule.refresh_days
    return CountFitter(log, config.transitions.k, config.counts.fit_examples, days)
