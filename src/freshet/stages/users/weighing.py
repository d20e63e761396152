"""What rows of users are worth on held-out windows: asked about as they were at the start of each.

A row made then is used, as in serving, until its user engages something else. Its weight, on top of the
release's own score, is fitted on the transitions at which it would have been used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import NotEnoughData
from freshet.core.types import ContentView, Mixture, UserRows
from freshet.stages import counts
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.counts.holdout_windows import Stretch, Window

NAMES = ("release", "row")


@dataclass(frozen=True, slots=True)
class WindowRows:
    """A held-out window, and the rows of its users as of its start."""

    number: int
    window: Window
    rows: UserRows


@dataclass(frozen=True, slots=True)
class Weighed:
    """What rows weigh.

    Attributes:
        fitted: weights of the release's score and of the row's.
        margin: change of nats per transition at which a row is used (value, low, high), in folds of windows
            on which no weight was fitted; negative = rows help; 95 % interval by user.
    """

    fitted: Mixture
    margin: tuple[float, float, float]

    @property
    def pays(self) -> bool:
        """Whether the row's weight is shown to be above zero, and lowers the loss in folds.

        Not to be shown to raise it, which is enough for a planner, let rows in that lost (decision 45).
        """
        return float(self.fitted.low[1]) > 0 and self.margin[0] < 0


def weigh(
    fitter: CountFitter,
    windows: Sequence[WindowRows],
    scorer_of: Callable[[int, Stretch], counts.Scorer],
    view: ContentView | None,
    *,
    relative: bool,
) -> Weighed:
    """Weigh rows against the release's own score.

    Args:
        scorer_of: (number of a window, stretch) -> the release's mixture as it would have been then.
        view: content that had not seen the windows; None without.
        relative: the rows' answers are relative to popularity.

    Raises:
        NotEnoughData: fewer than 20 transitions at which a row would have been used.
    """
    blocks: list[counts.Held] = []
    folds: list[int] = []
    for one in windows:
        for part in fitter.holdout.cut(one.number, one.window.held):
            row = one.rows.of(part.held.user, part.held.recent)
            if not (row >= 0).any():
                continue
            held, row = part.held.take(row >= 0), row[row >= 0]
            popularity = fitter.counts.base(part.start) if relative else None
            scores = scorer_of(one.number, part).rows(held, view)
            own = counts.UserPart(one.rows, np.ones(2), popularity).feature(row, np.exp(scores.count))
            release = np.where(held.known, 0.0, scores.fused).astype(np.float32)
            features = np.stack([release, own], axis=1)
            blocks.append(counts.Held(features, held.known, held.successor, held.user))
            folds.append(fitter.folds[one.number])
    if not blocks:
        raise NotEnoughData("no held-out transition is one at which a user's row would have been used")
    return Weighed(counts.fit(NAMES, blocks), _margin(blocks, folds))


def _margin(blocks: Sequence[counts.Held], folds: Sequence[int]) -> tuple[float, float, float]:
    """What rows change where they are used, against the release's score as it is."""
    alone = np.array([1.0, 0.0])
    change: list[NDArray[np.float64]] = []
    for held, fold in zip(blocks, folds, strict=True):
        others = [other for other, of in zip(blocks, folds, strict=True) if of != fold]
        try:
            weights = counts.fit(NAMES, others).weights
        except NotEnoughData:
            weights = counts.fit(NAMES, blocks).weights
        change.append(counts.log_likelihood(held, alone) - counts.log_likelihood(held, weights))
    return counts.mean_by_user(np.concatenate(change), np.concatenate([held.user for held in blocks]))


def as_it_was(
    scorer: counts.Scorer,
    counted: counts.Scorer,
    planner: counts.PlannerScores | None,
    logits: counts.SequenceLogits | None,
    view: ContentView | None,
) -> counts.Scorer:
    """A table's mixture, with its weights, over what was known earlier.

    Args:
        counted: counts of then, fitted on other windows.
        planner, logits, view: of then; used as far as the table uses such.
    """
    content = scorer.content
    if content is not None and view is not None:
        content = replace(content, centroids=view.centroids)
    return replace(
        counted,
        planner=planner if scorer.planner is not None else None,
        weights=scorer.weights,
        sequence=logits if scorer.sequence is not None else None,
        content=content,
    )
