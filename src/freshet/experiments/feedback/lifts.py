"""How much better an interest is taken than others, and after a context than anywhere.

Outcomes are compared with what was expected of them, and each level only with what the simpler one says:

    place -> successor -> successor after the last interest -> after the pair -> ...

A level's ratio is (successes + s) / (expected successes + s): s pseudo-successes pull it to 1 where little
was seen (the mean of a Gamma-Poisson model). The lift of a successor after a context is the sum of the logs
of the ratios behind the successor's own: how well an interest is taken anywhere is kept apart, and at which
place it was shown cancels out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Outcomes, context_codes, positions

PLACES = 10
"""Places further down are taken together."""
BITS = 15
"""Of a successor's index in a key."""


@dataclass(frozen=True)
class Lifts:
    """Log-ratios of all levels.

    Attributes:
        keys: (m,) of (context suffix, successor), ascending; see `keys_of`.
        values: (m,) nats that the suffix adds to the shorter one; of no suffix, to any successor.
        k: length of the longest suffix.
    """

    keys: NDArray[np.int64]
    values: NDArray[np.float64]
    k: int

    def of(self, context: NDArray[np.int16], shown: NDArray[np.int16]) -> NDArray[np.float64]:
        """(n,) lifts in nats of successors (n,) after contexts (n, k); 0 where nothing is known."""
        parts = [self._values(keys_of(context, shown, length)) for length in range(1, self.k + 1)]
        return np.asarray(np.sum(parts, axis=0))

    def own(self, shown: NDArray[np.int16]) -> NDArray[np.float64]:
        """(n,) nats by which successors (n,) are taken better anywhere than others; 0 where not known."""
        return self._values(shown.astype(np.int64))

    def _values(self, keys: NDArray[np.int64]) -> NDArray[np.float64]:
        if not len(self.keys):
            return np.zeros(len(keys))
        place = positions(self.keys, keys)
        return np.where(place >= 0, self.values[place], 0.0)


def keys_of(context: NDArray[np.int16], shown: NDArray[np.int16], length: int) -> NDArray[np.int64]:
    """(n,) numbers of (last `length` interests, successor), different for all lengths; -1 of shorter ones."""
    if length == 0:
        return shown.astype(np.int64)
    suffix = context[:, -length:]
    codes = (context_codes(suffix) << BITS) + shown
    return np.where((suffix >= 0).all(axis=1), codes, -1)


def learn(outcomes: Outcomes, prior_counts: Sequence[float]) -> Lifts:
    """Lifts by these outcomes.

    Args:
        prior_counts: pseudo-successes of the successor's own level, then of suffixes of length 1..k.
    """
    keys, ratios = (np.concatenate(parts) for parts in zip(*levels(outcomes, prior_counts), strict=True))
    order = np.argsort(keys, kind="stable")
    return Lifts(keys[order], np.log(ratios[order]), len(prior_counts) - 1)


def levels(
    outcomes: Outcomes, prior_counts: Sequence[float]
) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Keys (ascending) and ratios of the successor's own level, then of each length of suffix."""
    expected = by_place(outcomes)[np.minimum(outcomes.place, PLACES - 1)]
    found = []
    for length, prior_count in enumerate(prior_counts):
        keys, ratios = level(outcomes, expected, length, prior_count)
        found.append((keys, ratios))
        expected = expected * ratio_of(keys, ratios, outcomes, length)
    return found


def level(
    outcomes: Outcomes, expected: NDArray[np.float64], length: int, prior_count: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Keys (ascending) and ratios of one level, against (n,) what simpler levels expect."""
    wanted = keys_of(outcomes.context, outcomes.shown, length)
    keys, place = np.unique(wanted, return_inverse=True)
    successes = np.bincount(place, outcomes.reward, len(keys))
    ratios = (successes + prior_count) / (np.bincount(place, expected, len(keys)) + prior_count)
    return keys[keys >= 0], ratios[keys >= 0]


def ratio_of(
    keys: NDArray[np.int64], ratios: NDArray[np.float64], outcomes: Outcomes, length: int
) -> NDArray[np.float64]:
    """(n,) ratios of one level for outcomes; 1 where nothing is known."""
    place = positions(keys, keys_of(outcomes.context, outcomes.shown, length))
    return np.where(place >= 0, ratios[place], 1.0) if len(keys) else np.ones(len(outcomes))


def by_place(outcomes: Outcomes) -> NDArray[np.float64]:
    """(PLACES,) share of satisfied outcomes by place, each pulled to that of all by one success."""
    place = np.minimum(outcomes.place, PLACES - 1)
    shown = np.bincount(place, minlength=PLACES)
    rate = (outcomes.reward.sum() + 1) / (len(outcomes) + 2)
    return np.asarray((np.bincount(place, outcomes.reward, PLACES) + 1) / (shown + 1 / rate))
