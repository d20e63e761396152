"""Sums and count models of a log before any moment; each sum is computed once and shared by all uses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import AsOf, Sums, context_codes
from freshet.run_context import LogSnapshot
from freshet.stages import counts
from freshet.stages.counts.holdout_windows import HoldoutWindows, Stretch


class LogCounts:
    """What a log counts to.

    Args:
        log: what was known before as_of.
        k: context length.
        holdout: the windows whose contexts are counted; of longer contexts no others are kept.
    """

    def __init__(self, log: LogSnapshot, k: int, holdout: HoldoutWindows) -> None:
        self._log, self._k, self._holdout = log, k, holdout
        self._sums: dict[tuple[AsOf, float, int], Sums] = {}
        self._towards: dict[tuple[AsOf, float], NDArray[np.float64]] = {}

    def after(self, moment: AsOf, half_life: float, length: int) -> Sums:
        """Decayed counts before a moment, by context of that length; 0 counts successors alone."""
        key = moment, half_life, length
        if key not in self._sums:
            self._sums[key] = self._log.transitions.sums(moment, half_life, length)
        return self._sums[key]

    def popularity(self, moment: AsOf, half_life: float) -> NDArray[np.float64]:
        """(N,) smoothed shares before a moment."""
        [share] = counts.popularity_of([self.after(moment, half_life, 0)], len(self._log.interests))
        return np.asarray(share)

    def base(self, moment: AsOf) -> NDArray[np.float64]:
        """(N,) the popularity before a moment that transitions are shrunk to; see `CountModel.base`."""
        scales = self._log.scales
        return self.popularity(moment, scales.half_lives[scales.steady])

    def towards(self, moment: AsOf, share: float) -> NDArray[np.float64] | None:
        """(N, N) what counts after the last interest are shrunk to before a moment; None = popularity.

        Args:
            share: of the planner that was asked beforehand; 0 without one.
        """
        prior = self._log.prior
        if prior is None or share == 0:
            return None
        key = moment, share
        if key not in self._towards:
            self._towards[key] = counts.towards(prior, self.base(moment), share)
        return self._towards[key]

    def model(
        self, moment: AsOf, half_life: float, prior_counts: Sequence[float], share: float = 0.0
    ) -> counts.CountModel:
        """Counts before a moment, after every context of the log; `share` as in `towards`."""
        sums = [self.after(moment, half_life, length) for length in range(1, self._k + 1)]
        return self._build(moment, sums, share, prior_counts)

    def model_of(
        self, part: Stretch, half_life: float, prior_counts: Sequence[float], share: float = 0.0
    ) -> counts.CountModel:
        """Counts before a stretch that are right for its rows; `share` as in `towards`."""
        return self._build(part.start, self._after_rows(part, half_life, self._k), share, prior_counts)

    def held_out(self, part: Stretch, half_life: float, longest: int, share: float = 0.0) -> counts.HeldOut:
        """A stretch with the sums from which count models of contexts up to a length can be built."""
        sums = self._after_rows(part, half_life, longest)
        build = partial(self._build, part.start, sums, share)
        return counts.HeldOut(build, sums, part.held, self.towards(part.start, share))

    def is_informed(self, part: Stretch) -> bool:
        """Whether anything was counted before a stretch: else every interest scores the same there."""
        scales = self._log.scales
        return len(self.after(part.start, scales.half_lives[scales.steady], 0).weight) > 0

    def _build(
        self, moment: AsOf, sums: Sequence[Sums], share: float, prior_counts: Sequence[float]
    ) -> counts.CountModel:
        scales, size = self._log.scales, len(self._log.interests)
        popularity = [self.after(moment, half_life, 0) for half_life in scales.half_lives]
        towards = self.towards(moment, share)
        return counts.CountModel.build(popularity, sums, size, prior_counts, scales.steady, towards)

    def _after_rows(self, part: Stretch, half_life: float, longest: int) -> list[Sums]:
        """Counts after what the rows of a stretch have as contexts: all there are would fill the memory."""
        found = []
        for length in range(1, longest + 1):
            key = part.start, half_life, -length if length > 1 else length
            if key not in self._sums:
                sums = self._log.transitions.sums(part.start, half_life, length)
                self._sums[key] = sums if length == 1 else self._pruned(sums, part.start)
            found.append(self._sums[key])
        return found

    def _pruned(self, sums: Sums, moment: AsOf) -> Sums:
        """Only contexts that rows of stretches from a moment on have."""
        length = sums.contexts.shape[1]
        parts = [part.held.recent[:, -length:] for part in self._holdout.stretches if part.start == moment]
        keep = np.isin(context_codes(sums.contexts), np.unique(context_codes(np.concatenate(parts))))
        return Sums(sums.contexts[keep], sums.successor[keep], sums.weight[keep])
