"""Training a labelled model on the choice it has to make: which of the interests that a user doesn't know.

A language model's loss is over the whole distribution of words. A planner needs less: known interests are
never candidates, and how popular each interest was at the time is known from counts. So the loss is that of a
choice among the others, with the popularity of the time added to the model's scores: the model
learns what a context changes about it (an offset, as in logistic regression on rates).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from freshet.backends.planners import tokenisation
from freshet.backends.planners.decoder import threads_for, token_tables
from freshet.backends.planners.fine_tuning import Recipe
from freshet.backends.planners.model_folder import torch_module
from freshet.backends.training_clock import TrainingClock
from freshet.core.errors import NotEnoughData
from freshet.core.ports import Candidates, Ended, Progress, TuningJob
from freshet.core.prompts import names
from freshet.core.types import TuningReport, Usage

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from freshet.backends.flat_adamw import FlatWeights

SORTED = 20
"""Batches whose examples are sorted by length together, so that little is padded."""

REPORTS = 20
"""Losses in the report."""


def train_choice(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    job: TuningJob,
    recipe: Recipe,
    candidates: Candidates,
    progress: Progress,
) -> TuningReport:
    """Train a model whose answers are labels, one token each, in place.

    Its answers are relative to popularity afterwards. Order and initialisation follow `job.seed`; training
    ends after the recipe's epochs, or where `job.budget` says.
    """
    import torch

    from freshet.backends.flat_adamw import FlatAdamW

    if not job.examples:
        raise NotEnoughData("no examples to fine-tune on", hint="import a longer log")
    rows = tokenisation.prompt_tokens(tokenizer, [example.prompt.text for example in job.examples])
    answers = tokenisation.completion_tokens(tokenizer, names(job.interests.descriptions, job.mode))
    choices = _Choices(model, rows, [answer[0] for answer in answers], job, candidates)
    whole = max(1, round(recipe.epochs * len(rows) / recipe.batch_size))
    steps, clock = job.budget.of(whole), TrainingClock(job.budget)
    weights = _weights(model)
    optimiser, losses, read, step = FlatAdamW(weights, recipe.weight_decay, 1.0), [], 0, 0
    random = np.random.default_rng(job.seed)
    torch_module(model).train()
    with threads_for(model):
        for batch in _batches(choices.length, recipe.batch_size, steps, random):
            optimiser.forget()
            loss = choices.loss(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():
                optimiser.step(recipe.learning_rate * _pace(step, steps, recipe.warmup))
            losses.append(loss.detach())
            read += int(choices.length[batch].sum())
            step += 1
            progress(step, steps)
            if clock.ends(step < steps):
                break
    weights.part()
    torch_module(model).eval()
    parts = np.array_split(torch.stack(losses).tolist(), min(REPORTS, step))
    return TuningReport(
        len(rows),
        recipe.epochs * step / whole,
        tuple(round(float(np.mean(part)), 4) for part in parts),
        Usage(read, choices.flops),
        "scratch",
        relative=True,
        steps=step,
        stopped_after=clock.stopped_after,
        ended=_ended(clock, steps, whole),
    )


def _ended(clock: TrainingClock, steps: int, whole: int) -> Ended:
    """Why a training ended that was to make so many steps of a whole."""
    if clock.stopped_after is not None:
        return "clock"
    return "budget" if steps < whole else "epochs"


class _Choices:
    """Examples as arrays, made once.

    Attributes:
        flops: of matrix products so far, forward and backward.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        rows: list[list[int]],
        labels: list[int],
        job: TuningJob,
        candidates: Candidates,
    ) -> None:
        import torch

        from freshet.backends.planners.last_states import Beginnings, LastStates

        device = model.device
        self._beginnings = Beginnings(rows)
        self._known, self._window = candidates.known, candidates.window
        self._chosen = np.array([example.successor for example in job.examples])
        self._popularity = torch.from_numpy(candidates.popularity).to(device)
        [self._table] = token_tables(model)
        others = np.setdiff1d(np.arange(len(self._table)), labels)
        self._columns = torch.from_numpy(np.concatenate([labels, others])).to(device)
        self._states = LastStates(model, int(self.length.max()))
        self.flops = 0.0

    @property
    def length(self) -> NDArray[np.int64]:
        """(n,) tokens of each prompt."""
        return self._beginnings.length

    def loss(self, batch: NDArray[np.int64]) -> Tensor:
        """Mean nll of what was chosen, among what wasn't known and all words that are no labels."""
        import torch

        def there(array: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(array[batch]).to(self._columns.device)

        prompts, which = self._beginnings.of(batch, self._columns.device)
        self.flops += self._states.flops(len(prompts.first), len(prompts.last))
        # words that are no labels are never chosen: without them here nothing would keep them improbable
        every = (self._states(prompts) @ self._table[self._columns].T)[which]
        known = there(self._known)
        labels, others = every[:, : known.shape[1]], every[:, known.shape[1] :]
        scores = (labels + self._popularity[there(self._window)]).masked_fill(known, -torch.inf)
        return torch.nn.functional.cross_entropy(torch.cat([scores, others], dim=1), there(self._chosen))


def _weights(model: PreTrainedModel) -> FlatWeights:
    """All of a model's, norms not decaying."""
    from freshet.backends.flat_adamw import FlatWeights

    parameters = list(torch_module(model).parameters())
    return FlatWeights([[p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1], []])


def _batches(
    length: NDArray[np.int64], size: int, steps: int, random: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Row numbers of each step's examples; every epoch in an order of its own, alike long ones together."""
    done = 0
    while done < steps:
        order = random.permutation(len(length))
        alike = np.split(order, range(size * SORTED, len(length), size * SORTED))
        order = np.concatenate([part[np.argsort(length[part], kind="stable")] for part in alike])
        batches = np.split(order, range(size, len(length), size))
        for index in random.permutation(len(batches))[: steps - done].tolist():
            done += 1
            yield batches[index]


def _pace(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate: up in a line, down in a cosine."""
    return min(1.0, (step + 1) / max(1.0, warmup * steps)) * (1 + math.cos(math.pi * step / steps)) / 2
