"""Logistic regression with intervals clustered by user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import BoolArray

RIDGE = 1e-6
"""Penalty per row and squared weight: decides where a place holds successes alone, changes little else."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Weights with 95 % intervals, each (p,), of features with these names."""

    names: tuple[str, ...]
    weights: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    rows: int
    users: int

    def as_dict(self) -> dict[str, dict[str, float]]:
        return {
            name: {"weight": float(w), "low": float(lo), "high": float(hi)}
            for name, w, lo, hi in zip(self.names, self.weights, self.low, self.high, strict=True)
        }


def fit(
    names: Sequence[str], features: NDArray[np.float64], reward: BoolArray, user: NDArray[np.uint64]
) -> Fitted:
    """Weights (p,) that maximise the likelihood of rewards (n,) given features (n, p), by Newton's method."""
    weights = np.zeros(features.shape[1])
    penalty = RIDGE * len(reward) * np.eye(len(weights))
    for _ in range(100):
        slope, curve = _derivatives(features, reward, weights)
        step = np.linalg.solve(curve + penalty, slope.sum(axis=0) - penalty @ weights)
        far = float(np.abs(step).max())
        weights = weights + step * min(1.0, 5.0 / max(far, 1e-12))  # from afar, Newton overshoots
        if far < 1e-8:
            break
    slope, curve = _derivatives(features, reward, weights)
    bread = np.linalg.inv(curve + penalty)
    _, place = np.unique(user, return_inverse=True)
    by_user = np.stack([np.bincount(place, column) for column in slope.T], axis=1)
    error = np.sqrt(np.diag(bread @ (by_user.T @ by_user) @ bread))
    low, high = weights - 1.96 * error, weights + 1.96 * error
    return Fitted(tuple(names), weights, low, high, len(reward), len(by_user))


def losses(
    features: NDArray[np.float64], reward: BoolArray, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n,) nats by which each reward surprises."""
    odds = features @ weights
    return np.logaddexp(0.0, np.where(reward, -odds, odds))


def _derivatives(
    features: NDArray[np.float64], reward: BoolArray, weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, p) slope of each row's log-likelihood, and (p, p) curvature of their sum."""
    chance = 1.0 / (1.0 + np.exp(-np.clip(features @ weights, -500, 500)))
    slope = features * (reward - chance)[:, None]
    curve = (features * (chance * (1 - chance))[:, None]).T @ features
    return slope, curve
