"""Calibrating a SIMULATED world on a real log: tastes that last, and turn over, as the log's do.

What is compared, log against world, with as many transitions per context and window in both:

- `level`: how much the top successors of two windows overlap where nothing but chance differs (the no-drift
  null of `freshet.stages.schedule.log_drift`, by last interest), which says how peaked successors are;
- `kept`: the overlap seen divided by that null, by distance in months; 1 = no drift;
- `popular`: how far apart the shares of what is taken up at all are, by distance (total variation).

Four numbers of a world follow: contrast, drift_size and turnover_days, trends. A `balanced` world has no
trends: all turnover of successors is put down to transitions, and how far popularity moved is not compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from freshet import operations
from freshet.core.errors import NotEnoughData
from freshet.core.ports import Progress, silent
from freshet.core.types import AsOf, Transitions
from freshet.simulator.generation import live_through, transitions_of
from freshet.simulator.people import People
from freshet.simulator.slot import Habits
from freshet.simulator.world import World
from freshet.stages.schedule.log_drift import drift_of, month_edges
from freshet.storage.workspace import Workspace

MONTH = 30
DISTANCES = 3
"""Months apart that are compared."""
SAMPLE = 500_000
"""Transitions of a log that are compared, at most; of more, a sample of users."""
GRID: dict[str, tuple[float, ...]] = {
    "trends": (0.5, 1.0, 1.5, 2.0, 3.0),
    "contrast": (0.3, 0.45, 0.6, 0.8, 1.1, 1.6),
    "drift_size": (0.4, 0.6, 0.8, 1.0),
    "turnover_days": (15.0, 30.0, 45.0, 60.0, 90.0),
}
ROUNDS = (("trends",), ("contrast",), ("drift_size", "turnover_days")) * 2
"""What is searched together, in order; the rest stays where it is."""


class Rates(NamedTuple):
    """The part of a `World` that is calibrated; the defaults are where the search begins."""

    trends: float = 1.0
    contrast: float = 1.6
    drift_size: float = 1.0
    turnover_days: float = 30.0

    @classmethod
    def of(cls, world: World) -> Rates:
        """Those of a world."""
        return cls(world.trends, world.contrast, world.drift_size, world.turnover_days)

    def set(self, world: World) -> World:
        """A world with these."""
        return replace(
            world,
            trends=self.trends,
            contrast=self.contrast,
            drift_size=self.drift_size,
            turnover_days=self.turnover_days,
        )


@dataclass(frozen=True, slots=True)
class Decay:
    """How the successors of a log, or of a world, change; lists are by distance, 1 to DISTANCES months.

    Attributes:
        support: transitions per last interest and window.
        level: overlap without drift, by last interest, a month apart.
        kept: overlap divided by that without drift; `noise` is half the width of the 95 % band of chance.
        popular: total variation distance of what is taken up.
        pair_kept, pair_noise, pairs: the same by pairs a month apart, None without one that has the support;
            `pairs` says how many were compared.
    """

    support: float
    level: float
    kept: tuple[float, ...]
    noise: tuple[float, ...]
    popular: tuple[float, ...]
    pair_kept: float | None
    pair_noise: float | None
    pairs: int


def of_log(ws: Workspace, permutations: int, seed: int = 0) -> Decay:
    """Decay of a workspace's log, by calendar months and by its interests as of now.

    Raises:
        NotEnoughData: the log doesn't hold the months.
    """
    _, known = operations.form_interests(ws)
    edges = month_edges(AsOf.parse(known.window[0]).day, known.as_of.day)
    if len(edges) < DISTANCES + 2:
        raise NotEnoughData(
            f"the log holds {max(0, len(edges) - 1)} whole months, calibrating needs {DISTANCES + 1}",
            hint="import a longer log",
        )
    span = AsOf.from_day_number(edges[0]), AsOf.from_day_number(edges[-1])
    return measure(known.transitions.between(*span, SAMPLE, seed), edges, permutations, seed)


def measure(rows: Transitions, edges: Sequence[int], permutations: int, seed: int) -> Decay:
    """Decay of transitions over windows that begin at `edges` (days; the last is where they end)."""
    found = drift_of(rows, edges, permutations=permutations, seed=seed)
    last, pair = found["last"]["decay"][:DISTANCES], found["pair"]["decay"][:1]
    kept, noise = zip(*(_kept(point) for point in last), strict=True)
    pair_kept, pair_noise = _kept(pair[0]) if pair else (None, None)
    cells = (len(edges) - 1) * rows.known.shape[1]
    support = float((rows.recent[:, -1] >= 0).sum()) / cells
    compared = int(pair[0]["n"]) if pair else 0
    changed = _popular(rows, edges)
    return Decay(support, last[0]["null"], kept, noise, changed, pair_kept, pair_noise, compared)


def _kept(point: dict[str, Any]) -> tuple[float, float]:
    return point["jaccard"] / point["null"], (point["high"] - point["low"]) / 2 / point["null"]


def _popular(rows: Transitions, edges: Sequence[int]) -> tuple[float, ...]:
    size, windows = rows.known.shape[1], np.searchsorted(edges, rows.day, side="right") - 1
    cells = np.bincount(windows * size + rows.successor, minlength=(len(edges) - 1) * size)
    shares = cells.reshape(-1, size) / cells.reshape(-1, size).sum(axis=1, keepdims=True)
    return tuple(
        float(np.abs(shares[apart:] - shares[:-apart]).sum(axis=1).mean() / 2)
        for apart in range(1, DISTANCES + 1)
    )


def simulated(world: World, habits: Habits, support: float, permutations: int) -> Decay:
    """Decay of a world's last four months of 30 days, thinned to a real log's support (a sample of users)."""
    people = People(world, habits)
    rows = transitions_of(live_through(people, range(world.days)))
    edges = [world.days - MONTH * back for back in range(DISTANCES + 1, -1, -1)]
    rows = rows.take((rows.day >= edges[0]) & (rows.day < edges[-1]) & (rows.recent[:, -1] >= 0))
    wanted = support * (len(edges) - 1) * world.themes
    order = np.random.default_rng([world.seed, 10]).permutation(world.users)
    so_far = np.cumsum(np.bincount(rows.user.astype(np.int64), minlength=world.users)[order])
    held = order[: int(np.searchsorted(so_far, wanted)) + 1]
    return measure(rows.take(np.isin(rows.user, held)), edges, permutations, world.seed)


def distance(log: Decay, worlds: Sequence[Decay], balanced: bool = False) -> float:
    """How far worlds lie from a log: squared differences, in the units of each figure.

    Args:
        balanced: leave out how far popularity moved, which such worlds don't follow.
    """
    mean = {name: np.mean([getattr(one, name) for one in worlds], axis=0) for name in ("kept", "popular")}
    level = np.log(np.mean([one.level for one in worlds]) / log.level)
    kept = float(((mean["kept"] - np.array(log.kept)) ** 2).sum())
    popular = float(((mean["popular"] - np.array(log.popular)) ** 2).sum())
    return kept + (0.0 if balanced else 4 * popular) + float(level**2)


def calibrate(
    log: Decay,
    world: World,
    habits: Habits,
    seeds: Sequence[int],
    permutations: int = 40,
    progress: Progress = silent,
) -> Rates:
    """The point of the grid whose worlds lie nearest to a log, searched a few rates at a time.

    Args:
        world: whose days, themes and users stay.
        seeds: of the worlds simulated for every point; not those that arms are compared on.
    """
    best, tried = Rates(trends=0.0 if world.balanced else Rates().trends), dict[Rates, float]()
    rounds = [names for names in ROUNDS if not (world.balanced and "trends" in names)]
    points = [
        [dict(zip(names, at, strict=True)) for at in product(*(GRID[n] for n in names))] for names in rounds
    ]
    work, done = sum(map(len, points)), 0
    for candidates in points:
        for at in (best._replace(**one) for one in candidates):
            if at not in tried:
                worlds = [replace(at.set(world), seed=seed) for seed in seeds]
                found = [simulated(one, habits, log.support, permutations) for one in worlds]
                tried[at] = distance(log, found, world.balanced)
            done += 1
            progress(done, work)
        best = min((best._replace(**one) for one in candidates), key=tried.__getitem__)
    return best
