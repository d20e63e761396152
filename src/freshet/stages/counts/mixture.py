"""The log-linear mixture: softmax regression over the interests a user doesn't know.

    P(s | user) = softmax over candidates of  sum_f w_f * log p_f(s | user)

The log-likelihood is concave in w, so Newton's method finds the optimum in a few steps; intervals are
clustered by user (sandwich estimator), since one user's transitions are not independent.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import NotEnoughData
from freshet.core.types import BoolArray, Mixture, Transitions
from freshet.stages.counts.compiled_fit import add_derivatives, weighed_below_top

BLOCK = 128
"""Rows whose features (about 100 kB each at 200 interests) are worked on while they are in the cache."""

FEWEST = 20
"""Held-out transitions without which weights say nothing."""

RIDGE = 1e-4
"""Penalty per example and squared weight: decides between features that say the same, changes little else."""

SMOOTH = 1e-2
"""Penalty per example and squared difference of weights of neighbouring half-lives: what is popular over
three days and over six says nearly the same, and which of them a few windows prefer is chance (decision 30).
"""


@dataclass(frozen=True, slots=True)
class Held:
    """Held-out transitions with their features.

    Attributes:
        features: (n, F, N) log-probabilities.
        known: (n, N) what the user knows; not a candidate.
        successor: (n,) what came next.
        user: (n,) for clustering.
    """

    features: NDArray[np.float32]
    known: BoolArray
    successor: NDArray[np.int16]
    user: NDArray[np.uint64]

    def take(self, rows: BoolArray) -> Held:
        """The chosen rows."""
        return Held(self.features[rows], self.known[rows], self.successor[rows], self.user[rows])


def log_softmax(scores: NDArray[np.float64], known: BoolArray) -> NDArray[np.float64]:
    """(n, N) log-probabilities over the candidates; -inf where known, even where nothing else is left."""
    scores = np.where(known, -np.inf, scores)
    top = scores.max(axis=1, keepdims=True)
    scores = scores - np.where(np.isfinite(top), top, 0.0)
    total = np.exp(scores).sum(axis=1, keepdims=True)
    return np.asarray(scores - np.log(np.where(total > 0, total, 1.0)))


def scores(features: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, N) weighted sums of (n, F, N) log-probabilities; one weight vector (F,), or one a row (n, F)."""
    subscripts = "nfc,f->nc" if weights.ndim == 1 else "nfc,nf->nc"
    return np.asarray(np.einsum(subscripts, features, weights, optimize=True))


def log_likelihood(held: Held, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) log-probability of what came next."""
    logp = log_softmax(scores(held.features, weights), held.known)
    return np.asarray(logp[np.arange(len(logp)), held.successor])


def log_likelihood_of(scores: NDArray[np.float64], held: Transitions) -> float:
    """Log-likelihood of held-out transitions by scores alone, (N,) for everybody or (n, N)."""
    logp = log_softmax(np.broadcast_to(scores, held.known.shape), held.known)
    return float(logp[np.arange(len(held)), held.successor].sum())


def fit(
    names: Sequence[str],
    held: Sequence[Held],
    start: NDArray[np.float64] | None = None,
    iterations: int = 50,
    fixed: int = 0,
    smooth: int = 0,
    spread: Sequence[float] | None = None,
    centre: NDArray[np.float64] | None = None,
) -> Mixture:
    """Weights that maximise the likelihood of the held-out transitions.

    Args:
        names: of the F features.
        held: blocks (one per held-out window), features from before each window.
        start: (F,) weights to begin with; the optimum is the same from anywhere, but nearer from some.
        fixed: so many of the first weights stay as `start` has them.
        smooth: so many of the first features are one after the other alike: neighbours get similar weights.
        spread: (F,) what is believed of each weight beforehand: normal around `centre` with this standard
            deviation, inf = nothing. It shrinks the weights that few examples fit.
        centre: (F,) 0 by default.

    Raises:
        NotEnoughData: fewer than 20 held-out transitions.
    """
    examples = sum(len(block.successor) for block in held)
    if examples < FEWEST:
        raise NotEnoughData(
            f"the mixture needs at least {FEWEST} held-out transitions, the last windows hold {examples}",
            hint="raise [counts] window_days or fit_windows, or import more events",
        )
    weights = np.full(len(names), 1.0 / len(names)) if start is None else start
    penalty = RIDGE * examples * np.diag(np.arange(len(names)) >= fixed).astype(np.float64)
    if smooth > 1:
        apart = np.diff(np.eye(smooth, len(names)), axis=0)  # (smooth - 1, F) weight minus the one before
        penalty += SMOOTH * examples * apart.T @ apart
    pull = np.zeros(len(names))
    if spread is not None:
        belief = 1 / np.square(np.asarray(spread, np.float64))
        penalty += np.diag(belief)
        pull = belief * (0.0 if centre is None else centre)
    weights, hessian, by_user = _optimum(
        _Examples.of(held), weights, _Belief(penalty, pull), iterations, fixed
    )
    bread = np.zeros_like(hessian)
    bread[fixed:, fixed:] = np.linalg.inv((hessian + penalty)[fixed:, fixed:])
    error = np.sqrt(np.maximum(np.diag(bread @ (by_user.T @ by_user) @ bread), 0.0))
    return Mixture(
        tuple(names), weights, weights - 1.96 * error, weights + 1.96 * error, examples, len(by_user)
    )


@dataclass(frozen=True, slots=True)
class _Belief:
    """What is believed of the weights beforehand: -w'Pw/2 + q'w is added to their log-likelihood.

    Attributes:
        penalty: (F, F) P.
        pull: (F,) q.
    """

    penalty: NDArray[np.float64]
    pull: NDArray[np.float64]

    def added(self, likelihood: float, weights: NDArray[np.float64]) -> float:
        """The log-likelihood of weights (F,) with what is believed of them."""
        return likelihood - 0.5 * float(weights @ self.penalty @ weights) + float(self.pull @ weights)


@dataclass(frozen=True, slots=True)
class _Examples:
    """What is held out, laid out for the loops that go through it several times.

    Attributes:
        held: the blocks, each contiguous.
        person: (n,) number of each transition's user, from 0.
        parts: a block, some of its rows, and how many rows come before them.
    """

    held: list[Held]
    person: NDArray[np.int64]
    parts: list[tuple[Held, slice, int]]

    @classmethod
    def of(cls, held: Sequence[Held]) -> _Examples:
        """The same, once and for all."""
        lying = [
            Held(np.ascontiguousarray(one.features), np.ascontiguousarray(one.known), one.successor, one.user)
            for one in held
        ]
        _, person = np.unique(np.concatenate([one.user for one in held]), return_inverse=True)
        parts, before = [], 0
        for block in lying:
            size = block.known.shape[1]
            together = BLOCK if size <= 1024 else max(1, BLOCK * 200 // size)
            for first in range(0, len(block.successor), together):
                rows = slice(first, min(first + together, len(block.successor)))
                parts.append((block, rows, before + first))
            before += len(block.successor)
        return cls(lying, person, parts)

    def by_user(self, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """(U, F) the sum of gradients (n, F) per user."""
        total = np.zeros((int(self.person.max()) + 1, gradient.shape[1]))
        np.add.at(total, self.person, gradient)
        return total


def _optimum(
    examples: _Examples, weights: NDArray[np.float64], belief: _Belief, iterations: int, fixed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The best weights (F,) by Newton's method, minus the Hessian (F, F) and the gradient per user there."""
    likelihood, gradients, hessian = _derivatives(examples, weights)
    for _ in range(iterations):
        slope = gradients.sum(axis=0) - belief.penalty @ weights + belief.pull
        step = np.zeros(len(weights))
        step[fixed:] = np.linalg.solve((hessian + belief.penalty)[fixed:, fixed:], slope[fixed:])
        before = belief.added(likelihood, weights)
        if 0.5 * float(step @ slope) < 1e-9 * abs(before):  # what the step would gain
            break
        while True:  # halve the step while it overshoots
            likelihood, gradients, hessian = _derivatives(examples, weights + step)
            gain = belief.added(likelihood, weights + step) - before
            if gain >= 0 or float(np.abs(step).max()) < 1e-9:
                break
            step = step / 2
        weights = weights + step
    return weights, hessian, examples.by_user(gradients)


def _derivatives(
    examples: _Examples, weights: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Log-likelihood, its gradient per transition (n, F), and minus its Hessian (F, F).

    In parts, whose sums are added in their order: they are the same with any number of threads.
    """
    gradients = np.empty((len(examples.person), len(weights)))

    def part(where: tuple[Held, slice, int]) -> tuple[float, NDArray[np.float64]]:
        block, rows, start = where
        features, successor = block.features[rows], block.successor[rows]
        below = np.empty((len(features), features.shape[2]))
        weighed_below_top(features, block.known[rows], weights, below)
        hessian, into = np.zeros((len(weights), len(weights))), gradients[start : start + len(features)]
        return add_derivatives(features, below, np.exp(below), successor, hessian, into), hessian

    likelihood, hessian = 0.0, np.zeros((len(weights), len(weights)))
    for its_likelihood, its_hessian in _threads().map(part, examples.parts):
        likelihood += its_likelihood
        hessian += its_hessian
    return likelihood, gradients, hessian + np.tril(hessian, -1).T


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    """One for each processor, up to four."""
    return ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="mixture")


os.register_at_fork(after_in_child=_threads.cache_clear)  # a child has the pool, and none of its threads
