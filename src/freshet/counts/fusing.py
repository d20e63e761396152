"""Which scores enter the mixture beside the counts: those that held-out transitions can tell from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from freshet.counts.mixture import Held, fit, log_likelihood
from freshet.counts.score import COUNTS, PLANNER
from freshet.types import Fusion, Mixture


def fuse(names: Sequence[str], held: Sequence[Held], rest: Sequence[Held] | None = None) -> Fusion:
    """Weigh the features, leave out those whose weight is not significantly above zero, and weigh anew.

    Args:
        names: of the features of `held`, counts first.
        held: transitions on which all features are there.
        rest: more of them, without the planner's feature: what the others are weighed on once it is left out;
            None = `held`.

    Raises:
        NotEnoughData: fewer than 20 held-out transitions.
    """
    judged = used = fit(names, held)
    while used.names[1:] and float(used.low[1:].min()) <= 0:
        least = used.names[1 + int(used.low[1:].argmin())]  # one at a time: another may gain by its absence
        left = [name for name in used.names if name != least]
        used = fit(left, _chosen(names, held, rest, left))
    margin = _margin(judged, held) if PLANNER in names else None
    return Fusion(judged, used if used.names != (COUNTS,) else None, margin)


def _chosen(
    names: Sequence[str], held: Sequence[Held], rest: Sequence[Held] | None, left: Sequence[str]
) -> list[Held]:
    """The held-out transitions with the features that are left."""
    if rest is not None and PLANNER not in left:
        names, held = [name for name in names if name != PLANNER], rest
    columns = [names.index(name) for name in left]
    return [replace(block, features=block.features[:, columns]) for block in held]


def _margin(judged: Mixture, held: Sequence[Held]) -> tuple[float, float, float]:
    """What the planner lowers the loss by (negative = it helps), beside all the other features."""
    left = [name for name in judged.names if name != PLANNER]
    others = _chosen(judged.names, held, None, left)
    weights = fit(left, others).weights
    change = np.concatenate(
        [
            log_likelihood(without, weights) - log_likelihood(block, judged.weights)
            for without, block in zip(others, held, strict=True)
        ]
    )
    return mean_by_user(change, np.concatenate([block.user for block in held]))


def mean_by_user(values: NDArray[np.float64], user: NDArray[np.uint64]) -> tuple[float, float, float]:
    """Mean with a 95 % interval clustered by user."""
    mean = float(values.mean())
    _, inverse = np.unique(user, return_inverse=True)
    by_user = np.bincount(inverse, values - mean)
    error = float(np.sqrt(np.square(by_user).sum())) / len(values)
    return mean, mean - 1.96 * error, mean + 1.96 * error
