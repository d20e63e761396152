"""Loss of choosing items: scores, softmax and gradients a few rows at a time, so that they stay in the cache.

The (n, V) scores of a batch are never held: of 32 rows they fit into a core's cache, of 256 they don't, and
every pass over them costs more than the product that made them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from freshet.backends.sequences.network import HIDDEN

AT_ONCE = 32
"""Rows whose scores are held."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Which items n rows chose, and what is known of it without their histories.

    Attributes:
        recent: (n, r) items engaged lately, -1 padded, which are not offered.
        target: (n,) the item chosen, which always is.
        moment: (n,) when.
        prior: (g, V) scores of the items at each moment; `HIDDEN` for those that were not there.
        start: (N + 1) items of interest i are start[i] to start[i + 1].
        interest: (n,) of the target.
        share_all: weight of the choice among all items, beside that among the items of the interest.
    """

    recent: Tensor
    target: Tensor
    moment: Tensor
    prior: Tensor
    start: list[int]
    interest: Tensor
    share_all: float

    def loss(self, states: Tensor, table: Tensor) -> Tensor:
        """Sum of the rows' nll, by (n, d) states of their histories and (V, d) embeddings of the items."""
        total: Tensor = _Loss.apply(states, table, self)  # type: ignore[no-untyped-call]
        return total

    def losses(self, states: Tensor, table: Tensor) -> Tensor:
        """(n,) the rows' nll, without gradients."""
        return _of_all(states, table, self, None)


class _Loss(torch.autograd.Function):
    """Gradients are made together with the loss, from the same scores."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, table: Tensor, choices: Choices) -> Tensor:
        learns = ctx.needs_input_grad[0]
        grads = (torch.empty_like(states), torch.zeros_like(table)) if learns else None
        total = _of_all(states, table, choices, grads).sum()
        if grads is not None:
            ctx.save_for_backward(*grads)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, Tensor, None]:
        of_states, of_table = ctx.saved_tensors
        return of_states.mul_(outer[0]), of_table.mul_(outer[0]), None  # in place: it is asked once


def _of_all(states: Tensor, table: Tensor, choices: Choices, grads: tuple[Tensor, Tensor] | None) -> Tensor:
    """(n,) the nll of the rows; gradients of their sum are put into `grads`."""
    nll = states.new_empty(len(states))
    order = torch.argsort(choices.interest, stable=True)
    found, counts = torch.unique_consecutive(choices.interest[order], return_counts=True)
    for interest, rows in zip(found.tolist(), torch.split(order, counts.tolist()), strict=True):
        for some in torch.split(rows, AT_ONCE):
            nll[some] = _of_one_interest(states, table, choices, interest, some, grads)
    return nll


def _of_one_interest(
    states: Tensor,
    table: Tensor,
    choices: Choices,
    interest: int,
    rows: Tensor,
    grads: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """(n,) the nll of rows whose targets are of one interest; gradients are put into `grads`."""
    first, last = choices.start[interest], choices.start[interest + 1]
    every = bool(choices.share_all) and len(choices.start) > 2
    low, high = (0, len(table)) if every else (first, last)
    asked, offered = states[rows], table[low:high]
    each, target = torch.arange(len(rows)), choices.target[rows] - low
    scores = choices.prior[:, low:high].index_select(0, choices.moment[rows]).addmm_(asked, offered.T)
    chosen = scores[each, target]
    hidden = choices.recent[rows] - low
    row, place = ((hidden >= 0) & (hidden < high - low)).nonzero(as_tuple=True)
    scores[row, hidden[row, place]] = HIDDEN
    scores[each, target] = chosen
    within, nll = _softmax(scores[:, first - low : last - low].clone(), chosen)
    if not every:
        pull = within
    else:
        pull, nll_of_all = _softmax(scores, chosen)
        nll = nll + choices.share_all * nll_of_all
        if grads is not None:
            pull *= choices.share_all
            pull[:, first:last] += within
    if grads is not None:
        pull[each, target] -= 1 + choices.share_all * every
        of_states, of_table = grads
        of_states[rows] = pull @ offered
        of_table[low:high].addmm_(pull.T, asked)
    return nll


def _softmax(scores: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities (n, m), in place of the scores, and (n,) the nll of what was chosen."""
    most = scores.amax(1)
    shares = torch.softmax(scores, 1, out=scores)  # exp by itself is slow where it underflows
    return shares, most - shares.amax(1).log() - chosen  # the largest share is that of `most`
