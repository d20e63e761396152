"""One training of a sequence model, by the seed of its job."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from freshet.backends.flat_adamw import FlatAdamW, FlatWeights
from freshet.backends.sequences.network import Network
from freshet.backends.sequences.recipes import Recipe
from freshet.backends.sequences.rows import TrainingRows
from freshet.backends.training_clock import TrainingClock
from freshet.core.ports import Progress, RankingJob, SequenceJob

EVALUATED_AT_ONCE = 4096
"""Rows."""

WARM_UP = 50
"""Steps in which the learning rate rises."""

PRIOR_RATE = 10.0
"""Learning rate of the few weights of the prior, which have far to go, in units of the others'."""

LEAST_GAIN = 1e-4
"""Gain of nll (nats per row) below which a check is no improvement."""


class Training:
    """A network, its optimiser and the running average of its weights.

    Attributes:
        average: the network with averaged weights, which is the one that counts.
        best: what it was when it did best on held-out rows.
        read: rows computed so far, those only evaluated for a third (no backward pass).
    """

    def __init__(
        self,
        recipe: Recipe,
        job: SequenceJob | RankingJob,
        rows: TrainingRows,
        progress: Progress,
        clock: TrainingClock,
    ) -> None:
        self.recipe, self.progress = recipe, progress
        self._rows, self._budget, self._clock = rows, job.budget, clock
        self._random = torch.Generator().manual_seed(job.seed)
        with torch.random.fork_rng(devices=[]):  # the process's own random numbers stay as they were
            torch.manual_seed(job.seed)
            self.network = Network(rows.shape(recipe), job.vectors, np.random.default_rng(job.seed % 2**64))
        self.average = copy.deepcopy(self.network).eval()
        self.best = self.average
        self._weights, self._averages = _weights(self.network), _weights(self.average)
        self._optimiser = FlatAdamW(self._weights, recipe.weight_decay, PRIOR_RATE)
        self._step = 0
        self.read = 0.0

    @property
    def _steps_per_epoch(self) -> int:
        return max(1, math.ceil(len(self._rows) / self.recipe.batch_size))

    @property
    def _flops_per_step(self) -> float:
        """Forward and backward (three times the forward) of a batch, padding included."""
        shape = self.network.shape
        body = shape.layers * (4 * shape.width**2 + 2 * shape.width * shape.inner)
        return 6.0 * self.recipe.batch_size * (body * shape.recent + shape.width * shape.vocabulary)

    def for_epochs(self, epochs: float) -> Network:
        """The averaged network after so many epochs, or fewer where the budget ends them."""
        self._train(round(epochs * self._steps_per_epoch), lambda: False)
        return self.average

    def until_no_improvement(self, holdout: TrainingRows) -> tuple[float, float]:
        """(epochs, nll per row) at which the averaged network did best on held-out rows."""
        best, best_step, worse = math.inf, 0, 0
        every = max(1, self._steps_per_epoch // 2)

        def enough() -> bool:
            return self._step % every == 0 and check_holdout()

        def check_holdout() -> bool:
            nonlocal best, best_step, worse
            nll = self._evaluate(holdout)
            if nll < best - LEAST_GAIN:
                best, best_step, worse = nll, self._step, 0
                self.best = copy.deepcopy(self.average)
            else:
                worse += 1
            return worse >= self.recipe.patience

        steps = self.recipe.most_passes * self._steps_per_epoch
        if self._budget.steps is None:
            steps = min(steps, self.recipe.most_flops / self._flops_per_step)
        self._train(round(steps), enough)
        if not best_step:  # it ended before the first check
            check_holdout()
        return best_step / self._steps_per_epoch, best

    def _train(self, steps: int, enough: Callable[[], bool]) -> None:
        steps = self._budget.of(steps)
        order, place = torch.empty(0, dtype=torch.int64), 0
        while self._step < steps:
            if place >= len(order):
                order, place = self._rows.order(self._random), 0
            chosen = order[place : place + self.recipe.batch_size]
            place += len(chosen)
            self._learn(chosen)
            self.progress(self._step, steps)
            done = enough() or self._step == steps
            if self._clock.ends(not done) or done:
                break

    def _learn(self, chosen: Tensor) -> None:
        self._step += 1
        self.read += len(chosen)
        self.network.train()
        self._optimiser.forget()
        loss = self._rows.loss(self.network, chosen) / len(chosen)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step(self.recipe.learning_rate * min(1.0, self._step / WARM_UP))
        keep = min(self.recipe.average, self._step / (self._step + 9))  # early weights are soon forgotten
        with torch.no_grad():  # a negative weight on old popularity is a bet that every rise goes on
            self.network.prior.clamp_(min=0)
            self._averages.values.lerp_(self._weights.values, 1 - keep)

    def _evaluate(self, rows: TrainingRows) -> float:
        total = 0.0
        with torch.no_grad():
            for chosen in torch.split(torch.arange(len(rows)), EVALUATED_AT_ONCE):
                total += float(rows.loss(self.average, chosen))
        self.read += len(rows) / 3
        return total / len(rows)


def _weights(network: Network) -> FlatWeights:
    """A network's weights: those that decay, the others, and the few of the prior."""
    decaying, few = {"learned", "project", "attention", "attended", "inner", "outer"}, {"prior"}
    named = dict(network.named_parameters())
    groups = [decaying, named.keys() - decaying - few, few]
    return FlatWeights([[p for name, p in named.items() if name in group] for group in groups])
