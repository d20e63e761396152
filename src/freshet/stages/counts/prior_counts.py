"""How strongly sparse counts are shrunk: the pseudo-counts that predict held-out transitions best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Sums, Transitions
from freshet.stages.counts.count_model import ContextCounts, CountModel

GRID = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Pseudo-counts tried, about evenly spaced on the log scale."""
STAND_IN_COUNTS = GRID[3]
"""Those taken where nothing could be fitted."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Transitions of one held-out window and the counts before it.

    Attributes:
        build: the count model, given prior counts of context lengths 1..k.
        suffixes: its sums after contexts of length 1..k.
        held: the transitions.
        towards: (N, N) what counts after the last interest are shrunk to; None = popularity.
    """

    build: Callable[[Sequence[float]], CountModel]
    suffixes: Sequence[Sums]
    held: Transitions
    towards: NDArray[np.float64] | None = None
    _found: dict[tuple[float, ...], NDArray[np.float64]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def likelihoods(self, chosen: Sequence[float], length: int) -> NDArray[np.float64]:
        """(GRID,) log-likelihood of the shares after contexts of that length alone, for each strength.

        Computed once: folds ask about the same windows again and again.

        Args:
            chosen: the strengths of shorter contexts; those of longer ones change nothing.
        """
        key = length, *chosen
        if key not in self._found:
            self._found[key] = _likelihoods(self, chosen, length)
        return self._found[key]


def likelihood_after_last(windows: Sequence[HeldOut]) -> float:
    """Log-likelihood of held-out successors by what follows the last interest, at the best strength.

    What decides between half-lives of transitions; the same held-out transitions must be given for each.
    Sums after contexts of length 1 are enough.
    """
    return float(sum((window.likelihoods((), 1) for window in windows), np.zeros(len(GRID))).max())


def choose_prior_counts(windows: Sequence[HeldOut], k: int) -> tuple[float, ...]:
    """Strengths for context lengths 1..k, chosen one after the other by held-out likelihood."""
    chosen: list[float] = []
    for length in range(1, k + 1):
        total = sum((window.likelihoods(chosen, length) for window in windows), np.zeros(len(GRID)))
        chosen.append(GRID[int(np.argmax(total))])
    return tuple(chosen)


def _likelihoods(window: HeldOut, chosen: Sequence[float], length: int) -> NDArray[np.float64]:
    """What `HeldOut.likelihoods` gives.

    Shares are (counts + s * towards) / (total + s), and the total cancels in the probability of what came
    next among what the user didn't know: only four sums per transition depend on the counts.
    """
    rows = window.held.recent[:, -length] >= 0
    if not rows.any():
        return np.zeros(len(GRID))
    recent, next_ = window.held.recent[rows], window.held.successor[rows].astype(np.int64)
    model = window.build([*chosen, *[GRID[3]] * (len(window.suffixes) - len(chosen))])
    counts = ContextCounts.of(window.suffixes[length - 1], model.interests).after(recent[:, -length:])
    if length == 1 and window.towards is not None:
        towards = window.towards[recent[:, -1]]
    else:
        towards = model.after(recent, length - 1)
    new, index = ~window.held.known[rows], np.arange(len(next_))
    right = [values[index, next_][:, None] for values in (counts, towards)]
    all_new = [np.einsum("nc,nc->n", values, new)[:, None] for values in (counts, towards)]
    grid = np.array(GRID)
    return np.asarray(
        (np.log(right[0] + grid * right[1]) - np.log(all_new[0] + grid * all_new[1])).sum(axis=0)
    )
