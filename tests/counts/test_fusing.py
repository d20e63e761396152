"""Which scores enter the mixture: those that held-out transitions can tell from nothing."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.counts import COUNTS, FUSED, PLANNER, SEQUENCE, Held, fit, fuse

N, ROWS = 6, 1500


def held(*names: str, seed: int = 0, rows: int = ROWS) -> Held:
    """Transitions drawn from counts + 0.8 * planner; the sequence score says nothing, or the same as counts."""
    random = np.random.default_rng(seed)
    scores = {name: random.normal(size=(rows, N)) for name in FUSED}
    truth = scores[COUNTS] + 0.8 * scores[PLANNER]
    shares = np.exp(truth) / np.exp(truth).sum(axis=1, keepdims=True)
    successor = np.array([random.choice(N, p=share) for share in shares])
    features = np.stack([scores[name] for name in names], axis=1).astype(np.float32)
    user = (np.arange(rows) // 3).astype(np.uint64)
    return Held(features, np.zeros((rows, N), bool), successor.astype(np.int16), user)


def test_what_helps_is_used_and_what_does_not_is_left_out() -> None:
    blocks = [held(*FUSED, seed=1), held(*FUSED, seed=2)]
    fusion = fuse(FUSED, blocks)
    assert fusion.judged.names == FUSED
    assert fusion.used is not None
    assert fusion.used.names == (COUNTS, PLANNER)
    np.testing.assert_allclose(fusion.used.weights, [1.0, 0.8], atol=0.1)
    assert fusion.margin is not None
    value, low, high = fusion.margin
    assert low < value < high < 0  # the planner lowers the loss, beside all else


def test_without_the_planner_the_others_are_weighed_on_all_there_is() -> None:
    rest = [held(COUNTS, SEQUENCE, seed=3), held(COUNTS, SEQUENCE, seed=4)]
    rest = [Held(b.features, b.known, b.features[:, 1].argmax(axis=1).astype(np.int16), b.user) for b in rest]
    noise = held(*FUSED, seed=5, rows=200)
    random = np.random.default_rng(6)
    features = noise.features.copy()
    features[:, 1] = random.normal(size=(200, N))
    sample = Held(features, noise.known, features[:, 2].argmax(axis=1).astype(np.int16), noise.user)
    fusion = fuse(FUSED, [sample], rest)
    assert fusion.used is not None
    assert fusion.used.names == (COUNTS, SEQUENCE)
    assert fusion.used.examples == 2 * ROWS


def test_counts_may_win_alone() -> None:
    names = (COUNTS, SEQUENCE)
    fusion = fuse(names, [held(*names, seed=7)])
    assert (fusion.used, fusion.margin) == (None, None)
    assert fusion.judged.low[1] <= 0


@pytest.mark.parametrize("seed", [0, 1])
def test_counts_and_planner_alone_are_fitted_as_ever(seed: int) -> None:
    names = (COUNTS, PLANNER)
    blocks = [held(*names, seed=seed)]
    fusion = fuse(names, blocks)
    assert fusion.used is fusion.judged
    np.testing.assert_array_equal(fusion.judged.weights, fit(names, blocks).weights)
