"""The loss of choosing items is that of two softmaxes, and so are its gradients."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

ITEMS, ROWS, WIDTH = 30, 100, 8


@pytest.mark.parametrize("share_all", [0.0, 0.5])
@pytest.mark.parametrize("start", [[0, 4, 20, 30], [0, 30]])
def test_loss_and_gradients_are_those_of_plain_softmaxes(share_all: float, start: list[int]) -> None:
    from freshet.backends.sequences.item_choice import Choices
    from freshet.backends.sequences.network import HIDDEN

    random = torch.Generator().manual_seed(1)
    target = torch.randint(0, ITEMS, (ROWS,), generator=random)
    interest = torch.searchsorted(torch.tensor(start), target, right=True) - 1
    recent = torch.randint(-1, ITEMS, (ROWS, 5), generator=random)  # of some rows the target is among them
    moment = torch.randint(0, 3, (ROWS,), generator=random)
    prior = torch.randn(3, ITEMS, generator=random)
    there = torch.rand(3, ITEMS, generator=random) > 0.2
    there[moment, target] = True
    states = torch.randn(ROWS, WIDTH, generator=random, requires_grad=True)
    table = torch.randn(ITEMS, WIDTH, generator=random, requires_grad=True)
    known = prior.masked_fill(~there, HIDDEN)
    loss = Choices(recent, target, moment, known, start, interest, share_all).loss(states, table)
    found = torch.autograd.grad(loss, (states, table))

    wanted = torch.zeros(())
    for row in range(ROWS):
        offered = there[moment[row]].clone()
        offered[recent[row][recent[row] >= 0]] = False
        offered[target[row]] = True
        scores = (table @ states[row] + prior[moment[row]]).masked_fill(~offered, -torch.inf)
        first, last = start[interest[row]], start[interest[row] + 1]
        wanted = wanted + scores[first:last].logsumexp(0) - scores[target[row]]
        if len(start) > 2:
            wanted = wanted + share_all * (scores.logsumexp(0) - scores[target[row]])
    torch.testing.assert_close(loss, wanted, rtol=1e-5, atol=1e-4)
    for one, other in zip(found, torch.autograd.grad(wanted, (states, table)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
