"""The fit finds planted weights, agrees with a general optimiser, and its intervals are honest."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from freshet.core.errors import NotEnoughData
from freshet.stages.counts import Held, fit, log_likelihood, log_softmax
from freshet.stages.counts.mixture import RIDGE, _derivatives, _Examples

INTERESTS = 6


def simulate(weights: np.ndarray, n: int, seed: int, per_user: int = 1, copies: int = 1) -> Held:
    """People who choose exactly as the mixture says; `copies` repeats every choice for the same user."""
    rng = np.random.default_rng(seed)
    features = np.log(rng.dirichlet(np.ones(INTERESTS), (n, len(weights)))).astype(np.float32)  # (n, F, N)
    known = rng.random((n, INTERESTS)) < 0.2
    known[known.all(axis=1)] = False
    logp = log_softmax(np.einsum("nfc,f->nc", features, weights), known)
    chosen = np.array([rng.choice(INTERESTS, p=np.exp(row)) for row in logp], np.int16)
    user = np.arange(n, dtype=np.uint64) // per_user
    repeated = np.repeat(np.arange(n), copies)
    return Held(features[repeated], known[repeated], chosen[repeated], user[repeated])


def test_the_fit_recovers_planted_weights_and_its_intervals_cover_them() -> None:
    planted = np.array([0.7, 0.0, 0.3])
    covered = []
    for seed in range(30):
        found = fit(("a", "b", "c"), [simulate(planted, 500, seed)])
        covered.append((found.low <= planted) & (planted <= found.high))
        assert np.abs(found.weights - planted).max() < 0.35
    # 90 intervals of 95 %: fewer than 78 covering has a chance below one in a thousand
    assert np.sum(covered) >= 78
    large = fit(("a", "b", "c"), [simulate(planted, 20_000, 99)])
    assert np.abs(large.weights - planted).max() < 0.05


def test_blocks_are_one_sample() -> None:
    whole = simulate(np.array([0.5, 0.5]), 400, 1)
    parts = [
        Held(whole.features[rows], whole.known[rows], whole.successor[rows], whole.user[rows])
        for rows in (slice(0, 150), slice(150, 400))
    ]
    one, two = fit(("a", "b"), [whole]), fit(("a", "b"), parts)
    np.testing.assert_allclose(one.weights, two.weights, rtol=1e-9)
    np.testing.assert_allclose(one.low, two.low, rtol=1e-9)
    assert (two.examples, two.users) == (400, 400)


def test_repeating_users_widen_the_intervals_as_if_nothing_was_repeated() -> None:
    planted = np.array([0.6, 0.4])
    once = fit(("a", "b"), [simulate(planted, 600, 3)])
    fourfold = fit(("a", "b"), [simulate(planted, 600, 3, copies=4)])
    # four copies of each choice are no new knowledge: same weights, same intervals
    np.testing.assert_allclose(fourfold.weights, once.weights, rtol=1e-3)
    np.testing.assert_allclose(fourfold.high - fourfold.low, once.high - once.low, rtol=1e-2)
    independent = simulate(planted, 600, 3, copies=4)
    naive = Held(
        independent.features,
        independent.known,
        independent.successor,
        np.arange(len(independent.successor), dtype=np.uint64),
    )
    unclustered = fit(("a", "b"), [naive])
    ratio = (fourfold.high - fourfold.low) / (unclustered.high - unclustered.low)
    np.testing.assert_allclose(ratio, 2.0, rtol=1e-2)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(20, 80))
def test_newton_agrees_with_a_general_optimiser(seed: int, count: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    held = simulate(rng.normal(0.4, 0.5, count), n, seed)

    def loss(weights: np.ndarray) -> float:
        return -float(log_likelihood(held, weights).sum()) + 0.5 * RIDGE * n * float(weights @ weights)

    found = fit([str(i) for i in range(count)], [held]).weights
    best = minimize(loss, np.zeros(count), method="BFGS", options={"gtol": 1e-7})
    assert loss(found) <= best.fun + 1e-4 * max(1.0, abs(best.fun))


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=50)
def test_probabilities_of_candidates_sum_to_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 10, (4, INTERESTS))
    known = rng.random((4, INTERESTS)) < 0.5
    known[0] = True  # nothing left for this one
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logp = log_softmax(scores, known)
    assert np.isneginf(logp[known]).all()
    np.testing.assert_allclose(np.exp(logp).sum(axis=1), np.where(known.all(axis=1), 0.0, 1.0), rtol=1e-12)


def test_two_equal_features_share_the_weight() -> None:
    held = simulate(np.array([0.8]), 2000, 5)
    twice = Held(np.repeat(held.features, 2, axis=1), held.known, held.successor, held.user)
    found = fit(("a", "copy"), [twice])
    assert found.weights[0] == pytest.approx(found.weights[1], abs=1e-6)
    assert found.weights.sum() == pytest.approx(fit(("a",), [held]).weights[0], abs=0.01)


def test_too_few_examples_are_refused_with_a_way_out() -> None:
    with pytest.raises(NotEnoughData, match="at least 20 held-out transitions") as refused:
        fit(("a", "b"), [simulate(np.array([0.5, 0.5]), 19, 0)])
    assert "window_days" in refused.value.hint


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 300), st.integers(2, 150))
def test_compiled_derivatives_are_those_of_the_definition(seed: int, many: int, n: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    features = np.log(rng.dirichlet(np.full(size, 0.3), (n, many)) + 1e-9).astype(np.float32)
    features = np.asfortranarray(features) if seed % 2 else features  # columns that were picked lie so
    known = rng.random((n, size)) < 0.3
    successor = rng.integers(0, size, n).astype(np.int16)
    known[np.arange(n), successor] = False
    weights = rng.normal(size=many)
    cut = n // 3
    held = [
        Held(features[rows], known[rows], successor[rows], rng.integers(0, 9, len(known[rows]), np.uint64))
        for rows in (slice(0, cut), slice(cut, n))
    ]
    examples = _Examples.of(held)
    likelihood, gradients, hessian = _derivatives(examples, weights)

    wide = features.astype(np.float64)
    logp = log_softmax(np.einsum("nfc,f->nc", wide, weights), known)
    odds = np.exp(logp)
    mean = np.einsum("nfc,nc->nf", wide, odds)
    np.testing.assert_allclose(likelihood, logp[np.arange(n), successor].sum(), rtol=1e-12)
    np.testing.assert_allclose(gradients, wide[np.arange(n), :, successor] - mean, rtol=1e-9, atol=1e-9)
    curve = np.einsum("nfc,ngc,nc->fg", wide, wide, odds) - mean.T @ mean
    rounding = 1e-12 * n * np.square(wide).max()  # what is left of two such squares may be next to nothing
    np.testing.assert_allclose(hessian, curve, rtol=1e-9, atol=rounding)
    users = np.concatenate([one.user for one in held])
    summed = [gradients[users == user].sum(axis=0) for user in np.unique(users)]
    np.testing.assert_allclose(examples.by_user(gradients), summed, rtol=1e-9, atol=1e-9)


def test_who_knows_everything_pulls_at_no_weight() -> None:
    held = simulate(np.array([0.5, 0.5]), 30, 4)
    known = held.known.copy()
    known[7] = True
    likelihood, gradients, hessian = _derivatives(
        _Examples.of([Held(held.features, known, held.successor, held.user)]), np.array([0.5, 0.5])
    )
    assert likelihood == -np.inf  # as of anything that is no candidate
    np.testing.assert_array_equal(gradients[7], held.features[7, :, held.successor[7]])
    assert np.isfinite(hessian).all()
