"""AdamW over one vector takes torch's own steps."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow


def test_steps_are_those_of_torch() -> None:
    from freshet.backends.flat_adamw import FlatAdamW, FlatWeights

    random = torch.Generator().manual_seed(0)
    starts = [torch.randn(*sizes, generator=random) for sizes in ((4, 3), (3,), (2,))]
    mine, theirs = ([torch.nn.Parameter(start.clone()) for start in starts] for _ in range(2))
    flat = FlatWeights([[mine[0]], [mine[1]], [mine[2]]])
    one = FlatAdamW(flat, decay=0.1, faster=10.0)
    groups = [
        {"params": [theirs[0]], "lr": 0.01, "weight_decay": 0.1},
        {"params": [theirs[1]], "lr": 0.01, "weight_decay": 0.0},
        {"params": [theirs[2]], "lr": 0.1, "weight_decay": 0.0},
    ]
    other = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    target = torch.randn(3, generator=random)
    for scale in (1.0, 0.01, 100.0):  # norms below and above the one at which gradients are cut
        for weights, optimiser in ((mine, one), (theirs, other)):
            if optimiser is one:
                one.forget()
            else:
                other.zero_grad()
            loss = (weights[0] @ weights[1]).square().sum() + (weights[2].sum() * (weights[1] - target)).sum()
            (scale * loss).backward()
            if optimiser is other:
                torch.nn.utils.clip_grad_norm_(weights, 1.0)
        with torch.no_grad():
            one.step(0.01)
        other.step()
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a.detach(), b.detach(), rtol=1e-5, atol=1e-6)
    assert mine[0].untyped_storage().data_ptr() == mine[1].untyped_storage().data_ptr()
    flat.part()
    assert mine[0].untyped_storage().data_ptr() != mine[1].untyped_storage().data_ptr()
