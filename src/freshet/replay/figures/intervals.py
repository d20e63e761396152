"""Figures with intervals: by drawing users with replacement, and as sentences hold them.

The same draws serve every arm, so differences are paired. A figure is computed on the log itself and on every
resample at once: row 0 of what `totals` returns is the log, the rows after it are resamples. A difference of
two arms is then the difference of two such columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.replay.figures.aligned import Ints

Drawn = NDArray[np.float64]
"""(1 + draws,) a figure on the log itself, then on each resample; NaN where nothing was there to measure."""

DRAWS = 1000
BLOCK = 100
"""Draws handled at once; bounds memory at BLOCK x users."""


class Resampled:
    """Totals over users, on the log and on resamples of its users.

    Args:
        starts: (users,) first row of each user, rows being in order of users.
        rows: n.
    """

    def __init__(self, starts: Ints, rows: int, draws: int, seed: int) -> None:
        self._starts = starts
        self.users = len(starts)
        self._user = np.repeat(np.arange(self.users), np.diff(np.r_[starts, rows]))
        self._weights = _draw(self.users, draws, seed)

    def totals(self, values: NDArray[Any]) -> Drawn:
        """(1 + draws, columns) sums of (n, columns) values."""
        return self._weighted(np.add.reduceat(values.astype(np.float64), self._starts, axis=0))

    def by_group(self, values: NDArray[Any], group: Ints, groups: int) -> Drawn:
        """(1 + draws, groups) sums of values within groups, both (n,) or (n, m); group -1 is none."""
        inside = group >= 0
        user = np.broadcast_to(self._user.reshape(-1, *[1] * (group.ndim - 1)), group.shape)
        cells = user[inside] * groups + group[inside]
        size = self.users * groups
        sums = np.bincount(cells, values[inside].astype(np.float64), minlength=size)
        return self._weighted(sums.reshape(self.users, groups).astype(np.float64))

    def _weighted(self, sums: NDArray[np.float64]) -> Drawn:
        parts = [
            self._weights[start : start + BLOCK].astype(np.float64) @ sums
            for start in range(0, len(self._weights), BLOCK)
        ]
        return np.concatenate([sums.sum(axis=0, keepdims=True), *parts])


def _draw(users: int, draws: int, seed: int) -> NDArray[np.uint8]:
    """(draws, users) how often a user is in a resample."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((draws, users), np.uint8)
    for one in weights:
        one[:] = np.bincount(rng.integers(users, size=users), minlength=users)
    return weights


def ratio(above: Drawn, below: Drawn) -> Drawn:
    """above / below, NaN where there is nothing below."""
    empty = np.full(np.broadcast(above, below).shape, np.nan)
    return np.asarray(np.divide(above, below, out=empty, where=below > 0))


def estimate(drawn: Drawn) -> dict[str, Any]:
    """`{value, ci95}`: the figure and the middle 95 % of the resamples; None where nothing was measured."""
    return _estimate(drawn, lambda bounds, _: bounds)


def reflected(drawn: Drawn, most: float = np.inf) -> dict[str, Any]:
    """As `estimate`, with the basic interval: for figures that resampling itself shifts.

    A resample holds fewer different users, so it covers fewer interests and looks worse calibrated; its
    distance from the figure, turned around, is what the figure may be off by. Bounds stay in [0, most].
    """
    return _estimate(
        drawn, lambda bounds, value: [min(max(2 * value - bound, 0.0), most) for bound in reversed(bounds)]
    )


def jointly(drawn: Drawn, comparisons: int) -> dict[str, Any]:
    """`{value, ci95}`: intervals of so many figures that all hold together in 95 % of cases (Bonferroni).

    Each is the normal interval by the spread of the resamples: a thousand of them don't reach so far out.
    """
    level = 1 - 0.05 / max(comparisons, 1)
    reach = NormalDist().inv_cdf((1 + level) / 2)

    def interval(_: list[float], value: float) -> list[float]:
        spread = float(np.nanstd(drawn[1:]))
        return [value - reach * spread, value + reach * spread]

    return _estimate(drawn, interval)


def _estimate(drawn: Drawn, interval: Callable[[list[float], float], list[float]]) -> dict[str, Any]:
    if np.isnan(drawn[0]):
        return {"value": None, "ci95": None}
    value, resamples = float(drawn[0]), drawn[1:][~np.isnan(drawn[1:])]
    if not len(resamples):
        return {"value": value, "ci95": None}
    return {"value": value, "ci95": interval(np.quantile(resamples, [0.025, 0.975]).tolist(), value)}


PLANNER = "the planner"
"""What it is called where a document doesn't say."""


def rate(estimate: Mapping[str, Any]) -> str:
    """`20.5 % [19.8, 21.2]`."""
    if estimate["value"] is None:
        return "not measured"
    return f"{100 * estimate['value']:.1f}\u202f%{_interval(estimate, 100, 1, '')}"


def points(difference: Mapping[str, Any]) -> str:
    """A difference of shares in percentage points: `+0.4 points [+0.1, +0.8]`."""
    if difference["value"] is None:
        return "not measured"
    return f"{signed(100 * difference['value'], 2)} points{_interval(difference, 100, 2, '+')}"


def nats(difference: Mapping[str, Any]) -> str:
    """A difference of nll: `−0.004 nats [−0.005, −0.003]`."""
    if difference["value"] is None:
        return "not measured"
    return f"{signed(difference['value'], 4)} nats{_interval(difference, 1, 4, '+')}"


def signed(value: float, digits: int) -> str:
    """With its sign, a true minus; what rounds to nothing has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def span(days: float) -> str:
    """`every day`, `every 2 days`, `every 2.6 days`."""
    return "every day" if round(days, 1) == 1 else f"every {days:.1f}".removesuffix(".0") + " days"


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def _interval(estimate: Mapping[str, Any], scale: float, digits: int, sign: str) -> str:
    if estimate["ci95"] is None:
        return ""
    shown = [
        signed(scale * bound, digits) if sign else f"{scale * bound:.{digits}f}" for bound in estimate["ci95"]
    ]
    return f" [{shown[0]}, {shown[1]}]"
