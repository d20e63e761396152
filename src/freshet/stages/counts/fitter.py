"""Step: counts before any moment, and the mixture fitted on the last held-out windows.

Held-out transitions are scored by counts as old as those that serve: each window is cut into stretches from
one refresh to the next, and counted as of the start of each. How much the newest days weigh is fitted at the
age at which they are used.

What is fused with the counts is judged where the counts were not fitted: windows are put into folds, and the
count scores of a fold come from half-lives, strengths and weights that were chosen on the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from freshet.context import LogSnapshot
from freshet.core.errors import NotEnoughData
from freshet.core.time_scales import held_out
from freshet.core.types import AsOf, Fusion, Mixture, PlannerRows, Sums, Transitions, context_codes
from freshet.stages import counts
from freshet.storage.workspace import Workspace

ENOUGH = 300
"""Held-out transitions of a length class that let it have weights of its own."""
SHORTEST = 4
"""Stretches in a window, at most: each needs a count model of its own."""
FOLDS = 4
"""Folds of windows, at most, in which fused scores are judged."""
FEWEST = 20
"""Held-out transitions, with others counted before them, without which weights say nothing."""


@dataclass(frozen=True, slots=True)
class Window:
    """Held-out transitions from `start` on; planners are asked about them with evidence from before it."""

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


@dataclass(frozen=True, slots=True)
class CountFit:
    """What was fitted of the counts on some windows.

    Attributes:
        half_life: of transitions, in days.
        strengths: pseudo-counts of shrinkage for context lengths 1..k.
        mixtures: weights by length class: users with no, one, several recent interests.
        unfitted: why nothing could be fitted, in words; the weights are then those of popularity alone.
    """

    half_life: float
    strengths: tuple[float, ...]
    mixtures: tuple[Mixture, ...]
    unfitted: str = ""

    @property
    def weights(self) -> NDArray[np.float64]:
        """(length classes, F)"""
        return np.stack([mixture.weights for mixture in self.mixtures])


class CountFitter:
    """Everything counted for one moment; sums are computed once and shared by all uses.

    Args:
        known: what was known before as_of.
        k: context length.
        limit: at most so many held-out transitions.
        every: days from one refresh to the next; weights are fitted for counts that get so old.
    """

    def __init__(self, known: LogSnapshot, k: int, limit: int, every: int) -> None:
        self.known = known
        self.k = k
        self.limit = limit
        self.every = every
        self.names = counts.feature_names(known.scales.half_lives, k)
        self._sums: dict[tuple[AsOf, float, int], Sums] = {}
        self._models: dict[AsOf, counts.CountModel] = {}

    def observed(self) -> NDArray[np.int16]:
        """(m, k) contexts seen in the log before as_of, the empty one included, in the table's order."""
        parts = [np.zeros((1, 0), np.int16), *(self.suffixes(j).contexts for j in range(1, self.k + 1))]
        padded = [np.pad(part, ((0, 0), (self.k - part.shape[1], 0)), constant_values=-1) for part in parts]
        return np.unique(np.concatenate(padded), axis=0)

    def suffixes(self, length: int) -> Sums:
        """Decayed counts before as_of by context of that length."""
        return self._suffix(self.known.as_of, self.fit.half_life, length)

    def model(self, moment: AsOf) -> counts.CountModel:
        """Counts before a moment, by the half-life and the strengths that were fitted."""
        if moment not in self._models:
            suffixes = [self._suffix(moment, self.fit.half_life, j) for j in range(1, self.k + 1)]
            self._models[moment] = self._build(moment, suffixes, self.fit.strengths)
        return self._models[moment]

    def base(self, moment: AsOf) -> NDArray[np.float64]:
        """(N,) the popularity before a moment that transitions are shrunk to; see `CountModel.base`."""
        scales = self.known.scales
        return self._popularity(moment, scales.half_lives[scales.steady])

    def _popularity(self, moment: AsOf, half_life: float) -> NDArray[np.float64]:
        """(N,) smoothed shares before a moment."""
        [share] = counts.popularity_of([self._suffix(moment, half_life, 0)], len(self.known.interests))
        return np.asarray(share)

    def _suffix(self, moment: AsOf, half_life: float, length: int) -> Sums:
        key = moment, half_life, length
        if key not in self._sums:
            self._sums[key] = self.known.transitions.sums(moment, half_life, length)
        return self._sums[key]

    def _build(self, moment: AsOf, suffixes: Sequence[Sums], strengths: Sequence[float]) -> counts.CountModel:
        scales = self.known.scales
        popularity = [self._suffix(moment, half_life, 0) for half_life in scales.half_lives]
        return counts.CountModel.build(
            popularity, suffixes, len(self.known.interests), strengths, scales.steady
        )

    @cached_property
    def spans(self) -> dict[AsOf, AsOf]:
        """Start and end of each held-out window, oldest first; see `scales.held_out`."""
        now = self.known.as_of.day_number
        starts = held_out(self.known.scales, now)
        ends = [*starts[1:], now]
        return {
            AsOf.from_day_number(start): AsOf.from_day_number(end)
            for start, end in zip(starts, ends, strict=True)
            if start > 0
        }

    @cached_property
    def windows(self) -> list[Window]:
        """The held-out windows in which anything happened, oldest first."""
        log = self.known.transitions
        found = [Window(start, log.between(start, end, self._share)) for start, end in self.spans.items()]
        return [window for window in found if len(window.held)]

    @cached_property
    def step(self) -> int:
        """Days of a stretch: those between refreshes, but at most `SHORTEST` stretches a window."""
        return max(self.every, -(-self.known.scales.window_days // SHORTEST))

    @cached_property
    def stretches(self) -> list[Stretch]:
        """The windows cut at refreshes, in the order of time."""
        return [part for number, window in enumerate(self.windows) for part in self.cut(number, window.held)]

    def cut(self, window: int, held: Transitions) -> list[Stretch]:
        """Transitions of a window by the refresh that they come after.

        Refreshes fall on the starts of windows; where they come less often than windows, on the first
        window's and on every `step` days from there.
        """
        longer = self.step > self.known.scales.window_days
        first = self.windows[0 if longer else window].start.day_number
        refresh = first + (held.day - first) // self.step * self.step
        found = []
        for day in np.unique(refresh).tolist():
            rows = np.flatnonzero(refresh == day)
            found.append(Stretch(window, AsOf.from_day_number(day), rows, held.take(rows)))
        return found

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
    def fit(self) -> CountFit:
        """Fitted on all held-out windows: what scores from as_of on.

        Raises:
            NotEnoughData: they hold fewer than 20 transitions.
        """
        informed = sum(len(part.held) for part in self.stretches if self._is_informed(part))
        held = sum(len(window.held) for window in self.windows)
        if held < FEWEST or informed >= FEWEST:
            return self._fitted(range(len(self.windows)))
        days = len(np.unique(np.concatenate([window.held.day for window in self.windows])))
        return self._popular(
            f"nothing could be fitted: of {held:,} held-out transitions on {days} "
            f"{'day' if days == 1 else 'days'} only {informed:,} come after a day that could be counted, "
            f"and weights need {FEWEST}; interests are ranked by popularity alone"
        )

    @cached_property
    def unfounded(self) -> tuple[str, ...]:
        """Features of contexts that no held-out transition has: their weights say nothing."""
        longest = max((int((w.held.recent >= 0).sum(axis=1).max()) for w in self.windows), default=0)
        needed = dict(
            zip(self.names[len(self.known.scales.half_lives) :], (*range(1, self.k + 1), 1), strict=True)
        )
        return tuple(name for name, length in needed.items() if length > longest)

    def _is_informed(self, part: Stretch) -> bool:
        """Whether anything was counted before a stretch: else every interest scores the same there."""
        scales = self.known.scales
        return len(self._suffix(part.start, scales.half_lives[scales.steady], 0).weight) > 0

    def _popular(self, why: str) -> CountFit:
        """What stands in for a fit: the popularity that transitions are shrunk to, and nothing else."""
        weights = np.zeros(len(self.names))
        weights[self.known.scales.steady] = 1.0
        users = len(np.unique(np.concatenate([window.held.user for window in self.windows])))
        held = sum(len(window.held) for window in self.windows)
        alone = Mixture(self.names, weights, weights, weights, held, users)
        usual = self.known.scales.transition_half_lives
        strengths = counts.choose_strengths([], self.k)
        return CountFit(usual[len(usual) // 2], strengths, (alone,) * 3, why)

    @property
    def strengths(self) -> tuple[float, ...]:
        """Pseudo-counts of shrinkage for context lengths 1..k."""
        return self.fit.strengths

    @property
    def mixtures(self) -> tuple[Mixture, ...]:
        """The fitted mixture of counts by length class: users with no, one, several recent interests."""
        return self.fit.mixtures

    @property
    def count_weights(self) -> NDArray[np.float64]:
        """(length classes, F)"""
        return self.fit.weights

    @cached_property
    def popular(self) -> int:
        """Which of the mixture's half-lives of popularity does best by itself.

        What is popular is offered by it where that is all that is offered: a baseline at its best.
        """
        return self.best_popularity(self.known.scales.half_lives)

    def best_popularity(self, half_lives: Sequence[float]) -> int:
        """Number of the half-life, in days, whose popularity alone predicts the held-out transitions best."""
        found = []
        for half_life in half_lives:
            shares = [self._popularity(part.start, half_life) for part in self.stretches]
            parts = zip(shares, self.stretches, strict=True)
            found.append(sum(counts.log_likelihood_of(np.log(share), part.held) for share, part in parts))
        return int(np.argmax(found))

    @cached_property
    def folds(self) -> list[int]:
        """For each window its fold: neighbours are in one, since what drives a week drives the next day."""
        folds = min(FOLDS, len(self.windows))
        return [number * folds // len(self.windows) for number in range(len(self.windows))]

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
        """Half-life, strengths and weights, chosen one after the other on some of the windows."""
        within = set(windows)
        parts = [part for part in self.stretches if part.window in within]
        informed = sum(len(part.held) for part in parts if self._is_informed(part))
        if informed < FEWEST:
            raise NotEnoughData(
                f"weights need at least {FEWEST} held-out transitions with others counted before them, "
                f"the last windows hold {informed}",
                hint="raise [counts] window_days or fit_windows, or import more events",
            )
        tried = self.known.scales.transition_half_lives
        likelihood = [
            counts.likelihood_after_last([self._held_out(part, half_life, 1) for part in parts])
            for half_life in tried
        ]
        half_life = tried[int(np.argmax(likelihood))]
        strengths = counts.choose_strengths(
            [self._held_out(part, half_life, self.k) for part in parts], self.k
        )
        return CountFit(half_life, strengths, self._mixtures(parts, half_life, strengths))

    def _mixtures(
        self, parts: Sequence[Stretch], half_life: float, strengths: tuple[float, ...]
    ) -> tuple[Mixture, ...]:
        """What drives a person's next step differs with how much is known of them.

        Users without interests are few features and one prompt: they keep the weights of all, which hold out
        better than their own.
        """
        held = [
            (counts.held_by_counts(self._model_of(part, half_life, strengths), part.held), part.held)
            for part in parts
        ]
        fit = partial(counts.fit, self.names, smooth=len(self.known.scales.half_lives))
        everyone = fit([features for features, _ in held])
        own = []
        for length in (1, 2):
            some = [features.take(counts.length_class(rows.recent) == length) for features, rows in held]
            enough = sum(len(part.successor) for part in some) >= ENOUGH
            own.append(fit(some, everyone.weights) if enough else everyone)
        return everyone, *own

    def _held_out(self, part: Stretch, half_life: float, longest: int) -> counts.HeldOut:
        suffixes = self._suffixes_of(part, half_life, longest)
        return counts.HeldOut(partial(self._build, part.start, suffixes), suffixes, part.held)

    def _model_of(self, part: Stretch, half_life: float, strengths: tuple[float, ...]) -> counts.CountModel:
        """Counts before a stretch that are right for its rows."""
        return self._build(part.start, self._suffixes_of(part, half_life, self.k), strengths)

    def _suffixes_of(self, part: Stretch, half_life: float, longest: int) -> list[Sums]:
        """Counts after what the rows of a stretch have as contexts: all there are would fill the memory."""
        found = []
        for length in range(1, longest + 1):
            key = part.start, half_life, -length if length > 1 else length
            if key not in self._sums:
                sums = self.known.transitions.sums(part.start, half_life, length)
                self._sums[key] = sums if length == 1 else self._pruned(sums, part.start)
            found.append(self._sums[key])
        return found

    def _pruned(self, sums: Sums, moment: AsOf) -> Sums:
        """Only contexts that rows of stretches from a moment on have."""
        length = sums.contexts.shape[1]
        parts = [part.held.recent[:, -length:] for part in self.stretches if part.start == moment]
        keep = np.isin(context_codes(sums.contexts), np.unique(context_codes(np.concatenate(parts))))
        return Sums(sums.contexts[keep], sums.successor[keep], sums.weight[keep])

    def scorer_of(
        self,
        part: Stretch,
        mixture: Mixture | None = None,
        sequence: counts.SequenceLogits | None = None,
    ) -> counts.Scorer:
        """What a release made at the start of a stretch would have scored, by the weights of now."""
        model = self._model_of(part, self.fit.half_life, self.fit.strengths)
        return self._fused(model, None, mixture, sequence)

    def fused(
        self,
        answered: Sequence[tuple[Window, PlannerRows]] | None,
        sequence: counts.SequenceLogits | None = None,
        *,
        relative: bool = False,
    ) -> Fusion | None:
        """The mixture of count score, planner score and sequence score, on users with a context.

        Args:
            answered: for each window a sample of its transitions, with planner rows made with evidence from
                before it; None without a planner.
            sequence: a model trained before the windows; None without one.
            relative: the planner's answers are relative to popularity.

        Returns:
            None where there is nothing but counts, or nothing could be fitted.
        """
        if (answered is None and sequence is None) or self.fit.unfitted:
            return None
        rest, sample = counts.Blocks(), None
        for part in self.stretches:
            rest.add(self.folds[part.window], self._honest(part, None, sequence))
        if answered is not None:
            sample = counts.Blocks()
            for number, (window, rows) in self._numbered(answered):
                for part in self.cut(number, window.held):
                    planner = self._planner(rows, part.start, relative)
                    sample.add(self.folds[number], self._honest(part, planner, sequence))
        return counts.fuse(rest, sample, sequence is not None)

    def _numbered(
        self, answered: Sequence[tuple[Window, PlannerRows]]
    ) -> Iterator[tuple[int, tuple[Window, PlannerRows]]]:
        numbers = {window.start: number for number, window in enumerate(self.windows)}
        for window, rows in answered:
            yield numbers[window.start], (window, rows)

    def _planner(self, rows: PlannerRows, moment: AsOf, relative: bool) -> counts.PlannerScores:
        """The planner's score before a moment; relative answers are multiplied by the popularity of then."""
        base = self.base(moment) if relative else None
        return counts.PlannerScores(rows, len(self.known.interests), base)

    def _honest(
        self, part: Stretch, planner: counts.PlannerScores | None, sequence: counts.SequenceLogits | None
    ) -> counts.Held:
        """Features that are fused, with counts fitted on other folds; without users who have no context."""
        scorer = replace(self.judged(part), planner=planner, sequence=sequence)
        return counts.held_by_all(scorer, part.held.with_context())

    def judged(self, part: Stretch) -> counts.Scorer:
        """Counts before a stretch, fitted on other folds: as good there as they are on what comes next."""
        fit = self.fits[self.folds[part.window]]
        return counts.Scorer(self._model_of(part, fit.half_life, fit.strengths), fit.weights)

    def scorer(
        self,
        planner: counts.PlannerScores | None = None,
        mixture: Mixture | None = None,
        sequence: counts.SequenceLogits | None = None,
    ) -> counts.Scorer:
        """Scores as of now: counts alone, or fused by a mixture with what has a weight in it."""
        return self._fused(self.model(self.known.as_of), planner, mixture, sequence)

    def _fused(
        self,
        model: counts.CountModel,
        planner: counts.PlannerScores | None,
        mixture: Mixture | None,
        sequence: counts.SequenceLogits | None,
    ) -> counts.Scorer:
        names = () if mixture is None else mixture.names
        return counts.Scorer(
            model,
            self.count_weights,
            planner if counts.PLANNER in names else None,
            None if mixture is None else mixture.weights,
            sequence if counts.SEQUENCE in names else None,
        )

    def scorer_at(self, moment: AsOf) -> counts.Scorer:
        """Counts before a moment, by the weights of now: what such counts would have scored."""
        return counts.Scorer(self.model(moment), self.count_weights)


def fitter_for(ws: Workspace, known: LogSnapshot, every: int | None = None) -> CountFitter:
    """Counts as a workspace is configured; `every` is the days between refreshes where they are others."""
    config = ws.config
    return CountFitter(
        known, config.transitions.k, config.counts.fit_examples, every or config.schedule.refresh_days
    )
