"""Small worlds in which it is known whether anything drifts."""

from __future__ import annotations

import numpy as np

from freshet.core.types import Signs, Staleness, Transitions

SIZE = 12


def planted(
    seed: int,
    days: int = 60,
    change: int | None = None,
    per_day: int = 80,
    users: int = 300,
    growth: float = 0.0,
) -> Transitions:
    """Successors drawn by one fixed matrix, or by another one from day `change` on.

    Traffic grows linearly to `1 + growth` times that of the first day.
    """
    rng = np.random.default_rng([seed, 5])
    odds = rng.dirichlet(np.full(SIZE, 0.4), (2, SIZE))
    size = (per_day * (1 + growth * np.arange(days) / days)).astype(int)
    day = np.repeat(np.arange(days), size)
    last = rng.integers(0, SIZE, len(day))
    after = np.zeros(len(day), int) if change is None else (day >= change).astype(int)
    known = np.zeros((len(day), SIZE), bool)
    known[np.arange(len(day)), last] = True
    known |= rng.random(known.shape) < 0.1
    weight = odds[after, last] * ~known + 1e-12 * ~known
    reach = weight.cumsum(axis=1) / weight.sum(axis=1, keepdims=True)
    successor = np.minimum((rng.random(len(day))[:, None] > reach).sum(axis=1), SIZE - 1)
    recent = np.full((len(day), 2), -1, np.int16)
    recent[:, 1] = last
    user = rng.integers(0, users, len(day)).astype(np.uint64)
    return Transitions.on_days(user, day.astype(np.int32), recent, successor.astype(np.int16), known)


def seen(
    rows: Transitions,
    day: int,
    refreshes: tuple[int, ...],
    staleness: Staleness | None = None,
    cost: float = 1.0,
) -> Signs:
    """What a policy sees on a day."""
    before = rows.take(rows.day < day)
    traffic = float((before.day >= day - 7).sum()) / 7
    return Signs(day, refreshes, 7, before, traffic, staleness or Staleness.none(), cost)
