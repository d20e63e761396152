"""How well items are ranked within the interest that a user took up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.stages.items.item_histories import Rows
from freshet.stages.items.item_log import Engagements

Score = Callable[[Engagements, int, Rows], NDArray[np.floating[Any]]]
"""(log before a day, the day, n rows) -> (n, V) scores of all items."""

TOP = 10
AT_ONCE = 256
ABSENT = np.float32(-1e9)
"""Score of what is no candidate: not there yet, or engaged before."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """n transitions into an interest: what of the items engaged there was among the first ten.

    Attributes:
        user: (n,)
        history: (n,) whether the user had engaged anything before.
        hit: method -> (n,) 1 where at least one of the items was.
        gain: method -> (n,) normalised discounted cumulative gain of the ten.
    """

    user: NDArray[np.int64]
    history: NDArray[np.bool_]
    hit: Mapping[str, NDArray[np.float64]]
    gain: Mapping[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.user)


def evaluate(
    log: Engagements,
    rows: Rows,
    start: NDArray[np.int64],
    seen: NDArray[np.int32],
    methods: Mapping[str, Score],
) -> Evaluated:
    """Rank the interest's items for every transition of the rows, with what was known before a day.

    An item that was not there by then can't be ranked by any method: where it is the only one, all miss.

    Args:
        rows: those with a novel interest; the items of one step and interest are judged together.
        start: (N + 1,) items of interest i are start[i] to start[i + 1].
        seen: (n,) that day, for each of the rows.
    """
    _, first, group = np.unique(rows.step, return_index=True, return_inverse=True)
    queries = rows.take(first)
    targets = np.split(rows.item[np.argsort(group, kind="stable")], np.cumsum(np.bincount(group))[:-1])
    hit = {name: np.zeros(len(queries)) for name in methods}
    gain = {name: np.zeros(len(queries)) for name in methods}
    window = seen[first]
    for day in np.unique(window).tolist():
        before = log.before(day)
        at = np.flatnonzero(window == day)
        for part in np.split(at, range(AT_ONCE, len(at), AT_ONCE)):
            chosen = queries.take(part)
            for name, score in methods.items():
                scores = score(before, day, chosen)
                for place, row, scored in zip(part.tolist(), range(len(part)), scores, strict=True):
                    interest = int(np.searchsorted(start, chosen.item[row], side="right")) - 1
                    a, b = int(start[interest]), int(start[interest + 1])
                    found = _places(
                        scored[a:b], before.first[a:b] < day, chosen.recent[row] - a, targets[place] - a
                    )
                    hit[name][place], gain[name][place] = _measured(found)
    return Evaluated(queries.user, queries.recent[:, -1] >= 0, hit, gain)


def _places(
    scores: NDArray[np.floating[Any]],
    there: NDArray[np.bool_],
    recent: NDArray[np.int32],
    targets: NDArray[np.int32],
) -> NDArray[np.float64]:
    """(t,) places of the targets, 0 the best; ties share the middle of their places, the absent get inf."""
    scores = np.where(there, scores, ABSENT)
    scores[recent[(recent >= 0) & (recent < len(scores))]] = ABSENT
    own = scores[targets][:, None]
    place = (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2
    return np.where(there[targets], place, np.inf)


def _measured(places: NDArray[np.float64]) -> tuple[float, float]:
    """Whether a target is among the first ten, and their normalised gain."""
    found = places[places < TOP]
    ideal = (1 / np.log2(2 + np.arange(min(TOP, len(places))))).sum()
    return float(len(found) > 0), float((1 / np.log2(2 + found)).sum() / ideal)


def interval(values: NDArray[np.float64], user: NDArray[np.int64]) -> dict[str, float]:
    """Mean with its 95 % interval, users drawn as wholes (linearised ratio of their sums and counts)."""
    _, number = np.unique(user, return_inverse=True)
    sums, counts = np.bincount(number, values), np.bincount(number)
    mean = float(values.mean())
    error = float(np.sqrt(((sums - mean * counts) ** 2).sum()) / counts.sum())
    return {"value": mean, "low": mean - 1.96 * error, "high": mean + 1.96 * error}
