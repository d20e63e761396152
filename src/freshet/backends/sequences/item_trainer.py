"""Trains what ranks items, with torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from freshet.backends.clock import Clock
from freshet.backends.planners.extras import need_local
from freshet.backends.sequences.torch_trainer import FEWEST, Recipe, one_thread, usage_of
from freshet.core.errors import NotEnoughData
from freshet.core.ports import Progress, RankingJob, SequenceReport, silent
from freshet.core.types import RankingWeights

CODE = 1


@dataclass(frozen=True, slots=True)
class ItemRecipe(Recipe):
    """As `Recipe`, and how items are learned; chosen on three logs before their test periods (decision 18).

    Attributes:
        share_all: weight of the loss over all items, beside that over the items of the interest.
        unlearned: share of the items that do without what was learned of them at a step, as new ones must.
        calm: scale of what histories say at first; popularity speaks alone, until they have something to say.
    """

    share_all: float = 1.0
    unlearned: float = 0.0
    calm: float = 0.1


class TorchRankingTrainer:
    """Learns what histories add to a given prior."""

    def __init__(self, recipe: ItemRecipe | None = None) -> None:
        self.recipe = recipe or ItemRecipe()

    @property
    def version(self) -> str:
        settings = " ".join(f"{name}={value}" for name, value in asdict(self.recipe).items())
        return f"torch items code={CODE} {settings}"

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

        from freshet.backends.sequences.items import ItemRows
        from freshet.backends.sequences.network import outside
        from freshet.backends.sequences.training import Training

        with one_thread():

            def rows(part: RankingJob) -> ItemRows:
                return ItemRows(part, self.recipe.share_all, self.recipe.unlearned)

            held = np.zeros(len(job), bool)
            if job.later is not None:
                held[job.later] = True
            learned = job.take(np.flatnonzero(~held))
            clock = Clock(job.budget)
            training = Training(self.recipe, job, rows(learned), progress, clock)
            with torch.no_grad():
                for network in (training.network, training.average):
                    network.norm[0] = self.recipe.calm
                    network.project.mul_(self.recipe.calm)
            passes, held_out = job.passes, None
            if held.any():
                passes, held_out = training.until_no_better(rows(job.take(np.flatnonzero(held))))
                network = training.best
            else:
                network = training.for_passes(passes)
            usage = usage_of(network, job.recent, training.read)
            report = SequenceReport(len(learned), passes, held_out, usage, clock.steps, clock.stopped_after)
            return RankingWeights(network.frozen(), *outside(network, job.vectors)), report
