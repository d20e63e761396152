"""Step: counts before any moment, and the mixture fitted on the last held-out windows.

Held-out transitions are scored by counts as old as those that serve: each window is cut into stretches from
one refresh to the next, and counted as of the start of each. How much the newest days weigh is fitted at the
age at which they are used.

What is fused with the counts is judged where the counts were not fitted: windows are put into folds, and the
count scores of a fold come from half-lives, prior counts and weights that were chosen on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from time import monotonic

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
from freshet.stages.counts.count_fit import NO_PRIOR, CountFit, CountFits, FeaturesOf
from freshet.stages.counts.early import Early
from freshet.stages.counts.holdout_windows import HoldoutWindows, Stretch, Window
from freshet.stages.counts.log_counts import LogCounts
from freshet.stages.counts.mixture import FEWEST

FOLDS = 4
"""Folds of windows, at most, in which fused scores are judged."""


MANY = 1024
"""Interests from which on memory decides how many held-out transitions weights are fitted on."""
FIT_CELLS = 1 << 23
"""Those transitions times interests, at most: their features are in memory. 1,677 at 5,000 interests."""


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
        self._fits = CountFits(log, k, self.holdout, self.counts)
        self._models: dict[AsOf, counts.CountModel] = {}
        self._early: dict[tuple[str, str], Early] = {}

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
            self._models[moment] = self.counts.model(moment, fit.half_life, fit.prior_counts, fit.share)
        return self._models[moment]

    @cached_property
    def fit(self) -> CountFit:
        """Fitted on all held-out windows: what scores from as_of on.

        Too few transitions leave what stands in for a fit where a planner was asked beforehand, and where
        some users alone are learned from: then popularity, which is what so small a platform would have.

        Raises:
            NotEnoughData: they hold fewer than 20 transitions, of all users.
        """
        windows, informed = self.holdout.windows, self._informed
        held = sum(len(window.held) for window in windows)
        needed = self.log.learners is None and self.log.prior is None
        if informed >= FEWEST or (held < FEWEST and needed):
            return self._with_prior if self.uses_prior else self._without_prior
        days = len({day for window in windows for day in window.held.day.tolist()})
        alone = "popularity alone" if self.log.prior is None else "the planner's prior and popularity"
        return self._fits.stand_in(
            f"nothing could be fitted: of {held:,} held-out transitions on {days} "
            f"{'day' if days == 1 else 'days'} only {informed:,} come after a day that could be counted, "
            f"and weights need {FEWEST}; interests are ranked by {alone}"
        )

    @cached_property
    def _informed(self) -> int:
        """Held-out transitions that come after anything was counted."""
        return self._fits.informed(range(len(self.holdout.windows)))

    @cached_property
    def _with_prior(self) -> CountFit:
        return self._fits.on(range(len(self.holdout.windows)), (0.0, *counts.SHARES))

    @cached_property
    def _without_prior(self) -> CountFit:
        return self._fits.on(range(len(self.holdout.windows)))

    @property
    def uses_prior(self) -> bool:
        """Whether fitted counts are shrunk to the planner's prior: where it lowers the loss in folds."""
        margin = self.prior_margin
        return margin is not None and margin[0] < 0 and self._with_prior.share > 0

    @cached_property
    def prior_margin(self) -> counts.Change | None:
        """What the planner's prior changes in nats per transition, in folds on which nothing was fitted.

        Counts with and without it are each fitted on the other folds; negative = it helps. None without a
        prior, and where nothing can be fitted.
        """
        if self.log.prior is None or self._informed < FEWEST:
            return None
        both = self._in_folds(self._with_prior, (0.0, *counts.SHARES)), self._in_folds(self._without_prior)
        change, user = [], []
        for part in self.holdout.stretches:
            by_prior, by_counts = (self._likelihood(part, fits[self.folds[part.window]]) for fits in both)
            change.append(by_counts - by_prior)
            user.append(part.held.user)
        return counts.mean_by_user(np.concatenate(change), np.concatenate(user))

    def _likelihood(self, part: Stretch, fit: CountFit) -> NDArray[np.float64]:
        """(n,) log-probability of what came next in a stretch, by counts fitted in some way."""
        scorer = self._scorer_by(part, fit)
        logp = scorer.rows(part.held).count
        return np.asarray(logp[np.arange(len(logp)), part.held.successor])

    @cached_property
    def unfounded(self) -> tuple[str, ...]:
        """Features of contexts that no held-out transition has: their weights say nothing."""
        longest = max((int((w.held.recent >= 0).sum(axis=1).max()) for w in self.holdout.windows), default=0)
        needed = dict(
            zip(self.names[len(self.log.scales.half_lives) :], (*range(1, self.k + 1), 1), strict=True)
        )
        return tuple(name for name, length in needed.items() if length > longest)

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
        if self.uses_prior:
            return self._in_folds(self.fit, (0.0, *counts.SHARES))
        return self._in_folds(self.fit)

    def _in_folds(self, on_all: CountFit, shares: Sequence[float] = NO_PRIOR) -> list[CountFit]:
        found, seen = [], dict[FeaturesOf, counts.Held]()
        for fold in range(max(self.folds) + 1 if self.folds else 0):
            others = [number for number, of in enumerate(self.folds) if of != fold]
            try:
                found.append(self._fits.on(others, shares, seen) if others else on_all)
            except NotEnoughData:
                found.append(on_all)
        return found

    def scorer_of(
        self,
        part: Stretch,
        fusion: Fusion | None = None,
        sequence: counts.SequenceLogits | None = None,
        centroids: Centroids | None = None,
    ) -> counts.Scorer:
        """What a release made at the start of a stretch would have scored, by the weights of now."""
        fit = self.fit
        model = self.counts.model_of(part, fit.half_life, fit.prior_counts, fit.share)
        return self._fused(model, None, fusion, sequence, centroids)

    def early(self, sequence: str, content: str, opened: Callable[[], Early]) -> Early:
        """Scores from before the held-out windows, by versions of their artifacts ('' = none).

        They are opened once, and weighed once: tables that differ by their planner share that.
        """
        key = sequence, content
        if key not in self._early:
            start = monotonic()
            self._early[key] = opened()
            self._early[key].seconds = monotonic() - start
        return self._early[key]

    def fuse(
        self,
        answered: Sequence[tuple[Window, PlannerRows]] | None,
        early: Early | None = None,
        *,
        relative: bool = False,
    ) -> Fusion | None:
        """The mixture of count score, planner score, sequence score and content, on users with a context.

        Args:
            answered: for each window a sample of its transitions, with planner rows made with evidence from
                before it; None without a planner.
            early: sequence model and content; None without either.
            relative: the planner's answers are relative to popularity.

        Returns:
            None where there is nothing but counts, or nothing could be fitted.
        """
        early = early or Early()
        if (answered is None and early.is_empty) or self.fit.unfitted:
            return None
        if early.weighed is None:
            start = monotonic()
            early.weighed = self._weighed(early)
            early.seconds += monotonic() - start
        return early.weighed.fused(None if answered is None else self._sample(answered, early, relative))

    def _weighed(self, early: Early) -> counts.Weighed:
        """Sequence model and content beside the counts."""
        sequence, content = early.sequence, early.content
        rest, unplanned = counts.Blocks(), None if content is None else counts.Blocks()
        for part in self.holdout.stretches:
            counted, fold = self.cross_fitted(part), self.folds[part.window]
            scorer = replace(counted, sequence=sequence)
            rest.add(fold, counts.held_by_all(scorer, part.held.with_context(), content))
            if content is not None and unplanned is not None:
                unplanned.add(
                    fold, counts.held_by_all(counted, _without_context(part.held, content), content)
                )
        names = (counts.COUNTS, *((counts.SEQUENCE,) if sequence else ()), *(CONTENT if content else ()))
        return counts.weigh(rest, names, unplanned)

    def _sample(
        self, answered: Sequence[tuple[Window, PlannerRows]], early: Early, relative: bool
    ) -> counts.Blocks:
        """What a planner was asked about, with its score and the others."""
        sample = counts.Blocks()
        for number, (window, rows) in self._numbered(answered):
            for part in self.holdout.cut(number, window.held):
                planner = self._planner(rows, part.start, relative)
                scorer = replace(self.cross_fitted(part), planner=planner, sequence=early.sequence)
                held = counts.held_by_all(scorer, part.held.with_context(), early.content)
                sample.add(self.folds[number], held)
        return sample

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
        return self._scorer_by(part, self.fits[self.folds[part.window]])

    def _scorer_by(self, part: Stretch, fit: CountFit) -> counts.Scorer:
        model = self.counts.model_of(part, fit.half_life, fit.prior_counts, fit.share)
        return counts.Scorer(model, fit.weights)

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
    limit, size = config.counts.fit_examples, len(log.interests)
    if size > MANY:
        limit = min(limit, max(1000, FIT_CELLS // size))
    return CountFitter(log, config.transitions.k, limit, days)
