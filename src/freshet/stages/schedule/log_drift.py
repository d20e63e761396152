"""Drift of a whole log: from window to window, with distance in time, and where it is strongest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.ports import Progress, silent
from freshet.core.time import day_number
from freshet.core.types import Transitions
from freshet.stages.schedule.successor_overlap import ContextTransitions, Overlap, overlap

LENGTHS = {"pair": 2, "last": 1}
"""Contexts by their number of interests; the paper's figure is that of pairs."""
COMPARISONS = 6
"""Comparisons behind a point of the curve by distance, the latest ones."""
MOVERS = 10


@dataclass(frozen=True, slots=True)
class Mover:
    """A context whose successors changed; z is over all comparisons of adjacent windows.

    Attributes:
        context: its interests, most recent last.
        jaccard, null: mean overlap of its top successors, and without drift.
        rising, falling: the successor whose share rose and fell most from the first half to the second.
        comparisons: pairs of adjacent windows in which it had enough transitions.
    """

    context: tuple[int, ...]
    jaccard: float
    null: float
    z: float
    comparisons: int
    rising: int
    rising_shares: tuple[float, float]
    falling: int
    falling_shares: tuple[float, float]


def month_edges(first: date, last: date, months: int = 1) -> list[int]:
    """First days of the calendar months (every so many) from `first` on and not after `last`, since 1970."""
    year, month = (first.year, first.month) if first.day == 1 else _next(first.year, first.month, 1)
    edges: list[int] = []
    while (edge := date(year, month, 1)) <= last:
        edges.append(day_number(edge))
        year, month = _next(year, month, months)
    return edges


def _next(year: int, month: int, months: int) -> tuple[int, int]:
    passed = year * 12 + month - 1 + months
    return passed // 12, passed % 12 + 1


def drift_of(
    rows: Transitions,
    edges: Sequence[int],
    *,
    permutations: int = 200,
    min_support: int = 10,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """How fast successors change on a log, against the no-drift null.

    Args:
        rows: transitions as known now.
        edges: days since 1970 at which windows begin, and the end of the last one; ascending.

    Returns:
        `jaccard`, `null`, `z`, `p`, `n` (contexts compared), `from`: of pairs, or of last interests where no
        pair has the support (`from` says which); the same under `pair` and `last`, each with `windows` (every
        comparison), `decay` (by distance in days) and `moved` (contexts that changed most).
    """
    found: dict[str, Any] = {}
    work = len(LENGTHS) * (len(edges) - 2 + COMPARISONS * max(0, len(edges) - 3))
    done = 0

    def tick(steps: int) -> None:
        nonlocal done
        done = min(work, done + steps)
        progress(done, work)

    for name, length in LENGTHS.items():
        transitions, rng = ContextTransitions.of(rows, length), np.random.default_rng([seed, length])
        size = rows.known.shape[1]
        steady = []
        for first, middle, end in zip(edges, edges[1:], edges[2:], strict=False):
            steady.append(
                overlap(transitions, (first, middle), (middle, end), size, permutations, min_support, rng)
            )
            tick(1)
        decay = _decay(transitions, edges, steady, size, permutations, min_support, rng, tick)
        moved = _moved(transitions, steady, edges, size, length)
        found[name] = {
            **_figures(steady),
            "windows": [_window(one) for one in steady],
            "decay": decay,
            "moved": [asdict(mover) for mover in moved],
        }
    progress(work, work)
    source = "pair" if found["pair"]["n"] else "last"
    head = {key: found[source][key] for key in ("jaccard", "null", "low", "high", "z", "p", "n")}
    return {**head, "from": source, **found}


def _figures(found: Sequence[Overlap]) -> dict[str, Any]:
    """Mean over all contexts of all comparisons; None where nothing could be compared."""
    held = [one for one in found if one.contexts]
    total, count = np.sum([one.draws for one in held], axis=0) if held else np.zeros((2, 0))
    null = total[count > 0] / count[count > 0]
    if not len(null):
        return dict.fromkeys(("jaccard", "null", "low", "high", "z", "p"), None) | {"n": 0, "comparisons": 0}
    observed = float(np.concatenate([one.each_observed for one in held]).mean())
    spread = float(null.std(ddof=1)) if len(null) > 1 else math.nan
    low, high = np.quantile(null, [0.025, 0.975])
    return {
        "jaccard": observed,
        "null": float(null.mean()),
        "low": float(low),
        "high": float(high),
        "z": (observed - float(null.mean())) / spread if spread > 0 else None,
        "p": float((1 + (null <= observed).sum()) / (1 + len(null))),
        "n": sum(one.contexts for one in found),
        "comparisons": sum(one.contexts > 0 for one in found),
    }


def _window(one: Overlap) -> dict[str, Any]:
    days = {"start": one.start, "middle": one.middle, "end": one.end}
    return {**days, **{key: value for key, value in _figures([one]).items() if key != "comparisons"}}


def _decay(
    transitions: ContextTransitions,
    edges: Sequence[int],
    steady: Sequence[Overlap],
    size: int,
    permutations: int,
    min_support: int,
    rng: np.random.Generator,
    tick: Any,
) -> list[dict[str, Any]]:
    """Overlap by distance between the beginnings of two windows, in days."""
    windows = list(pairwise(edges))
    curve = []
    for apart in range(1, len(windows)):
        pairs = list(zip(windows, windows[apart:], strict=False))[-COMPARISONS:]
        found = list(steady[-COMPARISONS:]) if apart == 1 else []
        for first, second in pairs if apart > 1 else ():
            found.append(overlap(transitions, first, second, size, permutations, min_support, rng))
        tick(COMPARISONS if apart > 1 else 0)
        days = float(np.mean([second[0] - first[0] for first, second in pairs]))
        curve.append({"days": days, **_figures(found)})
    return [point for point in curve if point["n"]]


def _moved(
    transitions: ContextTransitions, found: Sequence[Overlap], edges: Sequence[int], size: int, length: int
) -> list[Mover]:
    """Contexts whose overlap lies furthest below their own null, in standard errors over the comparisons."""
    gathered: dict[int, list[tuple[float, float, float]]] = {}
    for one in found:
        for number, observed, mean, spread in zip(one.each, one.each_observed, *one.each_null, strict=True):
            gathered.setdefault(int(number), []).append((float(observed), float(mean), float(spread)))
    movers = []
    for number, seen in gathered.items():
        observed, mean, spread = np.array(seen).T
        error = float(np.sqrt((spread**2).sum()))
        if error > 0:
            z = float((observed - mean).sum()) / error
            movers.append((z, number, float(observed.mean()), float(mean.mean()), len(seen)))
    movers.sort()
    return [_mover(transitions, edges, size, length, *each) for each in movers[:MOVERS]]


def _mover(
    transitions: ContextTransitions,
    edges: Sequence[int],
    size: int,
    length: int,
    z: float,
    number: int,
    jaccard: float,
    null: float,
    comparisons: int,
) -> Mover:
    half = edges[len(edges) // 2]
    before, now = (_shares(transitions, number, days, size) for days in ((edges[0], half), (half, edges[-1])))
    up, down = int(np.argmax(now - before)), int(np.argmin(now - before))
    context = (number,) if length == 1 else (number // size, number % size)
    shares = [(float(before[one]), float(now[one])) for one in (up, down)]
    return Mover(context, jaccard, null, z, comparisons, up, shares[0], down, shares[1])


def _shares(
    transitions: ContextTransitions, number: int, days: tuple[int, int], size: int
) -> NDArray[np.float64]:
    rows = transitions.within(*days) & (transitions.context == number)
    counts = np.bincount(transitions.successor[rows], minlength=size)
    return np.asarray(counts / max(1, counts.sum()))
