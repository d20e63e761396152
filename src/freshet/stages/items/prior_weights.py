"""How much popularity, newness and histories say: a softmax regression over the items of an interest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from freshet.core.types import BoolArray
from freshet.stages.items.item_histories import Rows
from freshet.stages.items.item_log import Engagements
from freshet.stages.items.prior import features

Histories = Callable[[NDArray[np.int32]], NDArray[np.float32]]
"""(n, R) recent items -> (n, V) what they say of each item."""

ROOM = 40_000_000
"""Numbers that a design may hold: 160 MB."""

RIDGE = 1e-4


@dataclass(frozen=True, slots=True)
class Design:
    """n choices among up to m items of an interest, by F features.

    Attributes:
        features: (n, m, F)
        chosen: (n,) place of the item that was engaged.
        candidate: (n, m) which places hold an item that could have been.
    """

    features: NDArray[np.float32]
    chosen: NDArray[np.int64]
    candidate: BoolArray

    def __len__(self) -> int:
        return len(self.chosen)


def design(
    log: Engagements,
    rows: Rows,
    start: NDArray[np.int64],
    every: int,
    half_lives: Sequence[float],
    histories: Histories | None = None,
    seed: int = 0,
) -> Design:
    """The choices of rows, seen from the first day of the window of `every` days in which each lies.

    Rows whose item was not there by then are left out, and as many as there is no room for.

    Args:
        start: (N + 1,) items of interest i are start[i] to start[i + 1].
        histories: adds a feature.
    """
    widest = int(np.diff(start).max())
    room = max(1, ROOM // (widest * (len(half_lives) + 2)))
    if len(rows) > room:
        rows = rows.take(np.sort(np.random.default_rng(seed).choice(len(rows), room, replace=False)))
    starts, window = np.unique(rows.day // every * every, return_inverse=True)
    parts = list[Design]()
    for number, known in enumerate(features(log, starts.astype(np.int32), half_lives)):
        there = log.first < starts[number]
        part = rows.take(window == number)
        part = part.take(there[part.item])
        if len(part):
            parts.append(_window(part, known, there, start, widest, histories))
    if not parts:
        width = len(half_lives) + 1 + (histories is not None)
        nothing = np.zeros((0, widest), bool)
        return Design(np.zeros((0, widest, width), np.float32), np.zeros(0, np.int64), nothing)
    return Design(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.chosen for part in parts]),
        np.concatenate([part.candidate for part in parts]),
    )


def _window(
    rows: Rows,
    known: NDArray[np.float32],
    there: BoolArray,
    start: NDArray[np.int64],
    widest: int,
    histories: Histories | None,
) -> Design:
    interest = np.searchsorted(start, rows.item, side="right") - 1
    first = start[interest]
    items = first[:, None] + np.arange(widest)  # (n, m)
    inside = items < start[interest + 1][:, None]
    items = np.minimum(items, len(there) - 1)
    candidate = inside & there[items]
    for back in range(rows.recent.shape[1]):
        candidate &= items != rows.recent[:, back : back + 1]
    columns = [feature[items] for feature in known]
    if histories is not None:
        columns.append(np.take_along_axis(histories(rows.recent), items, axis=1))
    return Design(np.stack(columns, axis=-1), rows.item - first, candidate)


def fit_weights(choices: Design) -> tuple[NDArray[np.float64], float]:
    """(F,) weights, none below zero, and nats per choice; what says nothing gets zero.

    A negative weight on old popularity would be a bet that every rise goes on.
    """
    n, _, count = choices.features.shape
    rows = np.arange(n)
    taken = choices.features[rows, choices.chosen]  # (n, F)

    def nats(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = choices.features @ weights.astype(np.float32)  # (n, m)
        scores[~choices.candidate] = -np.inf
        scores -= scores.max(axis=1, keepdims=True)
        shares = np.exp(scores)
        total = shares.sum(axis=1, keepdims=True)
        value = float((np.log(total[:, 0]) - scores[rows, choices.chosen]).mean())
        expected = np.einsum("nm,nmf->nf", shares / total, choices.features)
        slope = (expected - taken).mean(axis=0).astype(np.float64)
        return value + RIDGE * float(weights @ weights), slope + 2 * RIDGE * weights

    first = np.full(count, 1 / count)
    found = scipy.optimize.minimize(nats, first, jac=True, method="L-BFGS-B", bounds=[(0, None)] * count)
    return np.asarray(found.x, np.float64), float(found.fun)
