"""Logistic regression against what is known of it."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.experiments.stats.logistic import fit


def test_a_group_of_its_own_gets_its_log_odds() -> None:
    reward = np.array([True] * 30 + [False] * 70 + [True] * 50 + [False] * 50)
    group = np.repeat([0, 1], 100)
    features = np.stack([group == 0, group == 1], axis=1).astype(float)
    found = fit(("a", "b"), features, reward, np.arange(200, dtype=np.uint64))
    assert found.weights == pytest.approx([np.log(30 / 70), 0.0], abs=1e-3)
    assert (found.high - found.low)[0] == pytest.approx(2 * 1.96 * np.sqrt(1 / 30 + 1 / 70), rel=1e-2)


def test_copies_of_a_user_tell_nothing_more() -> None:
    rng = np.random.default_rng(0)
    features = np.stack([np.ones(400), rng.normal(size=400)], axis=1)
    reward = rng.random(400) < 1 / (1 + np.exp(-features @ [0.3, 0.8]))
    users = np.arange(400, dtype=np.uint64)
    one = fit(("a", "b"), features, reward, users)
    thrice = fit(("a", "b"), np.tile(features, (3, 1)), np.tile(reward, 3), np.tile(users, 3))
    assert thrice.weights == pytest.approx(one.weights, abs=1e-6)
    assert thrice.low == pytest.approx(one.low, abs=1e-3)
    assert thrice.users == 400


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng, held = np.random.default_rng(1), 0
    for _ in range(200):
        features = np.stack([np.ones(500), rng.normal(size=500)], axis=1)
        reward = rng.random(500) < 1 / (1 + np.exp(-features @ [-0.5, 0.5]))
        found = fit(("a", "b"), features, reward, np.arange(500, dtype=np.uint64))
        held += bool(found.low[1] <= 0.5 <= found.high[1])
    assert 180 <= held <= 199
