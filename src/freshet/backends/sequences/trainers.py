"""Trains sequence models and what ranks items, with torch; torch is imported when a training starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from freshet.backends.planners.libraries import need_local
from freshet.backends.sequences.recipes import ItemRecipe, Recipe
from freshet.core.errors import NotEnoughData
from freshet.core.ports import Progress, RankingJob, SequenceJob, SequenceReport, silent
from freshet.core.types import RankingWeights, SequenceWeights

FEWEST = 50
"""Sequences below which there is nothing to learn from."""


class TorchSequenceTrainer:
    """Learns what comes next, among what was not known."""

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
        if len(job) < FEWEST:
            raise NotEnoughData(
                f"{len(job)} sequences are too few to learn from, {FEWEST} are needed",
                hint="import more events, or set [sequence] use = false",
            )
        from freshet.backends.sequences.network_training import trained
        from freshet.backends.sequences.rows import Rows

        def rows(part: SequenceJob) -> Rows:
            return Rows(part.sequences)

        with one_thread():
            network, report = trained(self.recipe, job, rows, progress, job.begin)
            return network.frozen(), report


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
        from freshet.backends.sequences.network import outside
        from freshet.backends.sequences.network_training import trained
        from freshet.backends.sequences.rows import ItemRows

        def rows(part: RankingJob) -> ItemRows:
            return ItemRows(part, self.recipe.share_all, self.recipe.unlearned)

        with one_thread():
            network, report = trained(self.recipe, job, rows, progress, calm=self.recipe.calm)
            return RankingWeights(network.frozen(), *outside(network, job.vectors)), report
