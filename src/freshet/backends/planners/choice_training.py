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
from freshet.backends.planners.decoder import DecoderCost, threads_for, token_tables
from freshet.backends.planners.fine_tuning import Recipe
from freshet.backends.planners.model_folder import torch_module
from freshet.backends.training_clock import TrainingClock
from freshet.core.errors import NotEnoughData
from freshet.core.ports import Candidates, Progress, TuningJob
from freshet.core.prompts import names
from freshet.core.types import TuningReport, Usage

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

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

    if not job.examples:
        raise NotEnoughData("no examples to fine-tune on", hint="import a longer log")
    rows = tokenisation.prompt_tokens(tokenizer, [example.prompt.text for example in job.examples])
    answers = tokenisation.completion_tokens(tokenizer, names(job.interests.descriptions, job.mode))
    labels = torch.tensor([answer[0] for answer in answers])
    whole = max(1, round(recipe.epochs * len(rows) / recipe.batch_size))
    steps, clock = job.budget.of(whole), TrainingClock(job.budget)
    optimiser, losses, read, step = _optimiser(model, recipe), [], 0, 0
    random = np.random.default_rng(job.seed)
    torch_module(model).train()
    with threads_for(model):
        for batch in _batches(rows, recipe.batch_size, steps, random):
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * _pace(step, steps, recipe.warmup)
            loss = _loss(model, labels, [rows[i] for i in batch], batch, job, candidates)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            losses.append(float(loss.detach()))
            read += sum(len(rows[i]) for i in batch)
            step += 1
            progress(step, steps)
            if clock.ends(step < steps):
                break
    torch_module(model).eval()
    reported = tuple(round(float(np.mean(part)), 4) for part in np.array_split(losses, min(REPORTS, step)))
    scored = step * recipe.batch_size
    flops = DecoderCost.of(model).training(read, read / scored / 2, scored)
    return TuningReport(
        len(rows),
        recipe.epochs * step / whole,
        reported,
        Usage(read, flops),
        "scratch",
        relative=True,
        steps=step,
        stopped_after=clock.stopped_after,
    )


def _loss(
    model: PreTrainedModel,
    labels: Tensor,
    rows: list[list[int]],
    batch: NDArray[np.int64],
    job: TuningJob,
    candidates: Candidates,
) -> Tensor:
    """Mean nll of what was chosen, among what wasn't known and all words that are no labels."""
    import torch

    device = model.device
    last = torch.tensor([len(row) - 1 for row in rows], device=device)
    width = max(map(len, rows))  # what is padded comes after the answer, where no token looks
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
    hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    [table] = token_tables(model)
    every = hidden[torch.arange(len(rows), device=device), last] @ table.T
    other = torch.ones(len(table), dtype=torch.bool, device=device)
    other[labels.to(device)] = False
    popularity = torch.from_numpy(candidates.popularity[candidates.window[batch]]).to(device)
    known = torch.from_numpy(candidates.known[batch]).to(device)
    chosen = torch.tensor([job.examples[i].successor for i in batch], device=device)
    scores = (every[:, labels.to(device)] + popularity).masked_fill(known, -torch.inf)
    # words that are no labels are never chosen: without them here nothing would keep them improbable
    return torch.nn.functional.cross_entropy(torch.cat([scores, every[:, other]], dim=1), chosen)


def _optimiser(model: PreTrainedModel, recipe: Recipe) -> Optimizer:
    """AdamW; norms don't decay."""
    import torch

    parameters = list(torch_module(model).parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98))


def _batches(
    rows: list[list[int]], size: int, steps: int, random: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Row numbers of each step's examples; every epoch in an order of its own, alike long ones together."""
    length = np.array([len(row) for row in rows])
    done = 0
    while done < steps:
        order = random.permutation(len(rows))
        alike = np.split(order, range(size * SORTED, len(rows), size * SORTED))
        order = np.concatenate([part[np.argsort(length[part], kind="stable")] for part in alike])
        batches = np.split(order, range(size, len(rows), size))
        for index in random.permutation(len(batches))[: steps - done].tolist():
            done += 1
            yield batches[index]


def _pace(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate: up in a line, down in a cosine."""
    return min(1.0, (step + 1) / max(1.0, warmup * steps)) * (1 + math.cos(math.pi * step / steps)) / 2
