"""Trains sequence models and what ranks items, with torch; torch is imported when a training starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from freshet.backends.planners.libraries import need_local
from freshet.backends.sequences.recipes import ItemRecipe, Recipe
from freshet.backends.training_clock import TrainingClock
from freshet.core.errors import NotEnoughData
from freshet.core.ports import Progress, RankingJob, SequenceJob, SequenceReport, silent
from freshet.core.types import IntArray, RankingWeights, SequenceWeights, Usage

if TYPE_CHECKING:
    from freshet.backends.sequences.network import Network

FEWEST = 50
"""Sequences below which there is nothing to learn from."""


class TorchSequenceTrainer:
    """Chooses the number of epochs on the last fifth of the rows, then learns from all of them anew."""

    def __init__(self, recipe: Recipe | None = None) -> None:
        self.recipe = recipe or Recipe()

    @property
    def version(self) -> str:
        return f"torch {self.recipe.version}"

    def train(self, job: SequenceJob, progress: Progress = silent) -> tuple[SequenceWeights, SequenceReport]:
        """See `SequenceTrainer`; runs on one thread, so that the sums don't depend on the machine's cores.

        Raises:
            MissingExtra: torch is not installed.
            NotEnoughData: fewer than 50 rows.
        """
        need_local("torch", instead="[sequence] use = false")
        rows = len(job.sequences)
        if rows < FEWEST:
            raise NotEnoughData(
                f"{rows} sequences are too few to learn from, {FEWEST} are needed",
                hint="import more events, or set [sequence] use = false",
            )
        from freshet.backends.sequences.network_training import Training
        from freshet.backends.sequences.rows import Rows

        with one_thread():
            clock = TrainingClock(job.budget)
            epochs, holdout_nll, spent = job.epochs, None, 0.0
            if not job.epochs:
                cut = rows - rows // 5
                earlier, later = job.sequences.take(slice(cut)), job.sequences.take(slice(cut, None))
                search = Training(self.recipe, job, Rows(earlier), progress, clock)
                epochs, holdout_nll = search.until_no_improvement(Rows(later))
                spent = search.read
            training = Training(self.recipe, job, Rows(job.sequences), progress, clock)
            network = training.for_epochs(epochs)
            usage = usage_of(network, job.sequences.recent, spent + training.read)
            return network.frozen(), SequenceReport(
                rows, epochs, holdout_nll, usage, clock.steps, clock.stopped_after
            )


def usage_of(network: Network, recent: IntArray, read: float) -> Usage:
    """Forward and backward (three times the forward) of so many rows; all parameters work on every token,
    the embeddings of all V things once a row."""
    per_row = float((recent >= 0).sum()) / len(recent)
    shape = network.shape
    body = shape.layers * (4 * shape.width**2 + 2 * shape.width * shape.inner)
    forward = 2.0 * (body * per_row + shape.width * shape.vocabulary)
    return Usage(round(read * per_row), 3.0 * forward * read)


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread in the block: its sums don't depend on the machine's cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class TorchRankingTrainer:
    """Learns what histories add to a given prior."""

    def __init__(self, recipe: ItemRecipe | None = None) -> None:
        self.recipe = recipe or ItemRecipe()

    @property
    def version(self) -> str:
        return f"torch items {self.recipe.version}"

    def train(self, job: RankingJob, progress: Progress = silent) -> tuple[RankingWeights, SequenceReport]:
        """See `RankingTrainer`; runs on one thread, so that the sums don't depend on the machine's cores.

        Raises:
            MissingExtra: torch is not installed.
            NotEnoughData: fewer than 50 rows.
        """
        need_local("torch", instead="[ranker] use = false")
        if len(job) < FEWEST:
            raise NotEnoughData(
                f"{len(job)} engagements after others are too few for a ranker, {FEWEST} are needed",
                hint="import more events, or set [ranker] use = false",
            )
        import torch

        from freshet.backends.sequences.network import outside
        from freshet.backends.sequences.network_training import Training
        from freshet.backends.sequences.rows import ItemRows

        with one_thread():

            def rows(part: RankingJob) -> ItemRows:
                return ItemRows(part, self.recipe.share_all, self.recipe.unlearned)

            holdout = np.zeros(len(job), bool)
            if job.later is not None:
                holdout[job.later] = True
            learned = job.take(np.flatnonzero(~holdout))
            clock = TrainingClock(job.budget)
            training = Training(self.recipe, job, rows(learned), progress, clock)
            with torch.no_grad():
                for network in (training.network, training.average):
                    network.norm[0] = self.recipe.calm
                    network.project.mul_(self.recipe.calm)
            epochs, holdout_nll = job.epochs, None
            if holdout.any():
                epochs, holdout_nll = training.until_no_improvement(rows(job.take(np.flatnonzero(holdout))))
                network = training.best
            else:
                network = training.for_epochs(epochs)
            usage = usage_of(network, job.recent, training.read)
            report = SequenceReport(
                len(learned), epochs, holdout_nll, usage, clock.steps, clock.stopped_after
            )
            return RankingWeights(network.frozen(), *outside(network, job.vectors)), report
