"""One training of a sequence model, by the seed of its job."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from freshet.backends.flat_adamw import FlatAdamW, FlatWeights
from freshet.backends.held_out_gain import HeldOutChecks
from freshet.backends.sequences.network import Network
from freshet.backends.sequences.recipes import Recipe
from freshet.backends.sequences.rows import TrainingRows
from freshet.backends.training_clock import TrainingClock
from freshet.core.ports import Ended, Progress, RankingJob, SequenceJob, SequenceReport
from freshet.core.types import SequenceWeights, Usage

Job = TypeVar("Job", SequenceJob, RankingJob)

CHECKS = 2
"""Of held-out rows, in an epoch."""

EVALUATED_AT_ONCE = 4096
"""Rows."""

WARM_UP = 50
"""Steps in which the learning rate rises."""

PRIOR_RATE = 10.0
"""Learning rate of the few weights of the prior, which have far to go, in units of the others'."""


def trained(
    recipe: Recipe,
    job: Job,
    rows_of: Callable[[Job], TrainingRows],
    progress: Progress,
    begin: SequenceWeights | None = None,
    calm: float = 1.0,
) -> tuple[Network, SequenceReport]:
    """Train as a job says; with rows held out the network is that of the best check on them.

    Args:
        rows_of: the rows of a job.
        begin: weights that the training begins at; None = random ones.
        calm: scale of what histories say at first, where the training begins at random weights.
    """
    held = np.zeros(len(job), bool)
    if job.later is not None:
        held[job.later] = True
    learned: Job = job.take(np.flatnonzero(~held))
    training = Training(recipe, job, rows_of(learned), progress, begin, calm)
    if not held.any():
        network, checks = training.for_epochs(job.epochs), None
        made = job.epochs
    else:
        checks = training.until_no_gain(rows_of(job.take(np.flatnonzero(held))))
        network = training.best
        made = training.best_step / training.steps_per_epoch
    return network, SequenceReport(
        len(learned),
        made,
        None if checks is None else checks.best,
        training.usage,
        training.clock.steps,
        training.clock.stopped_after,
        training.ended,
        None if checks is None else checks.noise,
    )


class Training:
    """A network, its optimiser and the running average of its weights.

    Attributes:
        average: the network with averaged weights, which is the one that counts.
        best: what it was when it did best on held-out rows.
        best_step: after how many steps that was.
        ended: why training ended.
        read: rows computed so far, those only evaluated for a third (no backward pass).
    """

    def __init__(
        self,
        recipe: Recipe,
        job: SequenceJob | RankingJob,
        rows: TrainingRows,
        progress: Progress,
        begin: SequenceWeights | None = None,
        calm: float = 1.0,
    ) -> None:
        self.recipe, self.progress = recipe, progress
        self._rows, self._budget, self.clock = rows, job.budget, TrainingClock(job.budget)
        self._random = torch.Generator().manual_seed(job.seed)
        with torch.random.fork_rng(devices=[]):  # the process's own random numbers stay as they were
            torch.manual_seed(job.seed)
            self.network = Network(rows.shape(recipe), job.vectors, np.random.default_rng(job.seed % 2**64))
        self._begun = begin is not None
        if begin is not None:
            self.network.begin_at(begin)
        else:
            self.network.calm(calm)
        self.average = copy.deepcopy(self.network).eval()
        self.best = self.average
        self._weights, self._averages = _weights(self.network), _weights(self.average)
        self._optimiser = FlatAdamW(self._weights, recipe.weight_decay, PRIOR_RATE)
        self._step = self.best_step = 0
        self.read = 0.0

    @property
    def steps_per_epoch(self) -> int:
        """Of the optimiser."""
        return max(1, math.ceil(len(self._rows) / self.recipe.batch_size))

    @property
    def _flops_per_step(self) -> float:
        """Forward and backward (three times the forward) of a batch, padding included."""
        shape = self.network.shape
        body = shape.layers * (4 * shape.width**2 + 2 * shape.width * shape.inner)
        return 6.0 * self.recipe.batch_size * (body * shape.recent + shape.width * shape.vocabulary)

    @property
    def usage(self) -> Usage:
        """Forward and backward (three times the forward) of the rows read.

        All parameters work on every token, the embeddings of all V things once a row.
        """
        per_row = float((self._rows.recent >= 0).sum()) / len(self._rows)
        shape = self.network.shape
        body = shape.layers * (4 * shape.width**2 + 2 * shape.width * shape.inner)
        forward = 2.0 * (body * per_row + shape.width * shape.vocabulary)
        return Usage(round(self.read * per_row), 3.0 * forward * self.read)

    def for_epochs(self, epochs: float) -> Network:
        """The averaged network after so many epochs, or fewer where the budget ends them."""
        wanted = max(1, round(epochs * self.steps_per_epoch))
        steps = self._budget.of(wanted)
        self._train(steps, lambda: False, "epochs" if steps == wanted else "budget")
        return self.average

    def until_no_gain(self, holdout: TrainingRows) -> HeldOutChecks:
        """Until held-out rows gain no more than their noise; `best` is the averaged network that did best."""
        checks = HeldOutChecks(holdout.user, self.recipe.patience)
        every = max(1, self.steps_per_epoch // CHECKS)

        def check() -> bool:
            if checks.better(self._nll(holdout)):
                self.best, self.best_step = copy.deepcopy(self.average), self._step
            return checks.enough

        steps = self.recipe.most_passes * self.steps_per_epoch
        if self._budget.steps is None:
            steps = min(steps, self.recipe.most_flops / self._flops_per_step)
        self._train(self._budget.of(round(steps)), lambda: self._step % every == 0 and check(), "budget")
        if not self.best_step:  # it ended before the first check
            check()
        return checks

    def _train(self, steps: int, enough: Callable[[], bool], otherwise: Ended) -> None:
        """Until it is enough, or so many steps were made, which ends it `otherwise`."""
        order, place = torch.empty(0, dtype=torch.int64), 0
        self.ended = otherwise
        while self._step < steps:
            if place >= len(order):
                order, place = self._rows.order(self._random), 0
            chosen = order[place : place + self.recipe.batch_size]
            place += len(chosen)
            self._learn(chosen)
            self.progress(self._step, steps)
            done = enough()
            if self.clock.ends(not done and self._step < steps):
                self.ended = "clock"
                break
            if done:
                self.ended = "no gain"
                break

    def _learn(self, chosen: Tensor) -> None:
        self._step += 1
        self.read += len(chosen)
        self.network.train()
        self._optimiser.forget()
        loss = self._rows.loss(self.network, chosen) / len(chosen)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step(self.recipe.learning_rate * min(1.0, self._step / WARM_UP))
        keep = self.recipe.average
        if not self._begun:  # random weights are soon forgotten
            keep = min(keep, self._step / (self._step + 9))
        with torch.no_grad():  # a negative weight on old popularity is a bet that every rise goes on
            self.network.prior.clamp_(min=0)
            self._averages.values.lerp_(self._weights.values, 1 - keep)

    def _nll(self, rows: TrainingRows) -> NDArray[np.float64]:
        """(n,) nats of rows by the averaged network."""
        parts = torch.split(torch.arange(len(rows)), EVALUATED_AT_ONCE)
        self.read += len(rows) / 3
        return np.concatenate([rows.losses(self.average, part).numpy() for part in parts]).astype(np.float64)


def _weights(network: Network) -> FlatWeights:
    """A network's weights: those that decay, the others, and the few of the prior."""
    decaying, few = {"learned", "project", "attention", "attended", "inner", "outer"}, {"prior"}
    named = dict(network.named_parameters())
    groups = [decaying, named.keys() - decaying - few, few]
    return FlatWeights([[p for name, p in named.items() if name in group] for group in groups])
