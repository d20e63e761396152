"""Daily looks at arms of unequal size and at skewed outcomes, by what the report does. SIMULATED users.

Part of `benchmarks/statistics.py`. Users come in turn, 3.5 % of them on the first of 28 days, and have all
their outcomes when they come; their rates are lognormal. Only the sums per arm and day are kept, and given to
`experiments.effect` and `steps.comparing.every_look`, as `compare` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from freshet.experiments import Baseline, Design, Effect, Moments, detectable, effect, mixing
from freshet.steps.comparing import every_look

Array = NDArray[np.float64]
DAYS, FIRST, AT_ONCE = 28, 0.035, 1_000_000
LEVELS = {"aa_sequential_false_positive": 0.95, "aa_guardrail_false_positive": 0.99}
HARM, GAIN = -0.5, 0.2
"""True effects: what a guardrail must stop, and what an experiment may hope for."""


@dataclass(frozen=True, slots=True)
class World:
    """Users whose rates have a mean of `rate` and are lognormal; `ratio` is a share of so many outcomes.

    Attributes:
        share: of users in treatment.
        adjusted: by what the same users did before (CUPED); seven users in ten did anything.
    """

    sigma: float
    metric: str
    users: int
    share: float = 0.5
    rate: float = 1.0
    adjusted: bool = False

    @property
    def split(self) -> str:
        """As 90/10, control first."""
        return f"{100 * (1 - self.share):g}/{100 * self.share:g}"

    @property
    def name(self) -> str:
        """Without the split."""
        words = [f"sigma{self.sigma:g}", self.metric, str(self.users)]
        words += [f"rate{self.rate:g}"] * (self.rate != 1) + ["adjusted"] * self.adjusted
        return "-".join(words)


SHARES = (0.5, 0.2, 0.1, 0.05, 0.01)
WORLDS = [
    World(sigma, metric, users, share)
    for sigma, metric, users, share in product((1.0, 2.0), ("mean", "ratio"), (4000, 20_000), SHARES)
]
MORE = [
    *(World(2.0, metric, 4000, 0.95) for metric in ("mean", "ratio")),
    *(World(2.0, metric, 60, share) for metric in ("mean", "ratio") for share in (0.5, 0.2)),
    *(World(1.0, "mean", 4000, share, 0.02) for share in (0.1, 0.95)),
    *(World(sigma, "mean", 4000, share, adjusted=True) for sigma in (1.0, 2.0) for share in (0.5, 0.05)),
    World(2.0, "ratio", 4000, 0.05, adjusted=True),
]
"""Small control, tens of users, rare outcomes, and metrics that are adjusted."""


def experiments(world: World, tests: int, lift: float, seed: int) -> Iterator[list[tuple[Moments, Moments]]]:
    """For each test the moments of control and treatment, cumulative, by day."""
    number = [seed, int(1e4 * world.share), int(world.sigma), world.users, world.metric == "mean"]
    rng = np.random.default_rng(number)
    ends = (world.users * (FIRST + (1 - FIRST) * np.arange(DAYS) / (DAYS - 1))).astype(int)
    days = np.flatnonzero(np.diff(ends, prepend=0))
    starts = np.concatenate([[0], ends[days][:-1]])
    size = max(1, AT_ONCE // world.users)
    for start in range(0, tests, size):
        treated = rng.random((min(size, tests - start), world.users)) < world.share
        values = people(rng, world, treated, lift)
        sums = [_sums(values, treated == arm, starts) for arm in (0, 1)]
        for test in range(len(treated)):
            yield [tuple(_moments(arm, test, day) for arm in sums) for day in range(len(days))]  # type: ignore[misc]


def people(rng: np.random.Generator, world: World, treated: NDArray[np.bool_], lift: float) -> list[Array]:
    """Numerator, denominator and covariate if any, each (tests, users)."""
    sigma, shape = world.sigma, treated.shape
    rate = world.rate * rng.lognormal(-(sigma**2) / 2, sigma, shape)
    if world.metric == "mean":
        columns = [rng.poisson(rate * (1 + lift * treated)).astype(float), np.ones(shape)]
    else:
        taste = 0.9 * rng.beta(3, 3, shape)
        satisfied = np.minimum(1, taste * (1 + lift * treated))
        y = rng.poisson(rate * satisfied).astype(float)
        columns = [y, y + rng.poisson(rate * (1 - satisfied))]
        rate = rate * taste
    return columns + [rng.poisson(rate * (rng.random(shape) < 0.7)).astype(float)] * world.adjusted


def _sums(values: list[Array], who: NDArray[np.bool_], starts: Array) -> tuple[Array, Array, Array]:
    """(tests, days) users, (p, tests, days) sums and (p, p, tests, days) sums of products, cumulative."""

    def so_far(x: Array) -> Array:
        return np.asarray(np.add.reduceat(x, starts, axis=1).cumsum(axis=1))

    mine = [x * who for x in values]
    cross = np.empty((len(mine), len(mine), len(who), len(starts)))
    for i, j in product(range(len(mine)), repeat=2):
        cross[i, j] = so_far(mine[i] * mine[j]) if i <= j else cross[j, i]
    return so_far(who.astype(float)), np.stack([so_far(x) for x in mine]), cross


def _moments(sums: tuple[Array, Array, Array], test: int, day: int) -> Moments:
    n, total, cross = sums
    return Moments.of_sums(int(n[test, day]), total[:, test, day], cross[:, :, test, day])


def seen(world: World, tests: int, lift: float, seed: int) -> dict[str, Array]:
    """(tests, 2) by what is asked: at any look, and on the last day.

    `level side`: intervals at every look leave 0 out, on the side of harm (more is better) or of gain; `before`: by
    the former rule (`former`). `missed`: they leave the true effect out. `once`: one look does, on the last
    day alone (both columns).
    """
    found: dict[str, list[Any]] = {}
    for looks in experiments(world, tests, lift, seed):
        effects = [effect(c, t, adjusted=world.adjusted) for c, t in looks]
        for level in LEVELS.values():
            low, high = np.array(every_look(effects, DAYS, level=level)[0]).T
            old = former(effects, level)
            for name, hits in (
                (f"{level} harm", high < 0),
                (f"{level} gain", low > 0),
                (f"{level} missed", (high < lift) | (low > lift)),
                (f"{level} before", abs(old) > 0),
                (f"{level} gain before", old > 0),
            ):
                found.setdefault(name, []).append([hits.any(), hits[-1]])
        one = effects[-1].relative
        last = [not one.low <= lift <= one.high, effects[-1].p < 0.05]
        found.setdefault("once", []).append(last)
    return {name: np.array(hits, bool) for name, hits in found.items()}


def former(effects: Sequence[Effect], level: float) -> Array:
    """(looks,) -1 or 1 where the rule before decision 26 left 0 out, on which side; 0 elsewhere.

    Its variance was that of each arm's own spread alone, and took it for known.
    """
    c, t = (np.array([getattr(one, arm) for one in effects]) for arm in ("control", "treatment"))
    share = np.array([one.users[1] / max(1, sum(one.users)) for one in effects])
    own, far = (np.array([getattr(one, kind).variance for one in effects]) for kind in ("absolute", "relative"))
    with np.errstate(all="ignore"):
        mean = (1 - share) * c + share * t
        v = np.maximum(own / mean**2, far / (1 + share * (t / c - 1)) ** 4)
        s = (t - c) / mean
        known = (mean > 0) & np.isfinite(far) & (v > 0) & np.isfinite(v)
        if not known.any():
            return np.zeros(len(v))
        first = int(known.argmax())
        to = mixing(v[first] / np.sqrt(max(1.0, DAYS / (first + 1))), level)
        half = np.sqrt(v * (v + to) / to * (np.log1p(to / v) - 2 * np.log1p(-level)))
        return np.where(known & (abs(s) > half), np.sign(s), 0)


def false_positives(tests: int, seed: int, worlds: Sequence[World]) -> dict[tuple[str, str], dict[str, Array]]:
    """By split and world: `seen` without an effect."""
    return {(world.split, world.name): seen(world, tests, 0.0, seed) for world in worlds}


def planned(world: World, tests: int, seed: int) -> dict[str, Any]:
    """Effects that `power` says are found in 80 % of experiments like this, and how often they are.

    Baselines are of 400,000 other users. `once` is one look at the end; `sequential` the interval at every look,
    on the last day (which is what is planned) and at `any` look.
    """
    rng, out = np.random.default_rng([seed, 9]), dict[str, Any]()
    many = replace(world, users=400_000)
    everybody = people(rng, many, np.zeros((1, many.users), bool), 0.0)
    baseline = Baseline.of(Moments.of(np.column_stack([x[0] for x in everybody])))
    for name, sequential in (("once", False), ("sequential", True)):
        lift = detectable(baseline, world.users, Design(world.share, sequential=sequential, days=DAYS))
        hits = seen(world, tests, lift, seed)
        out[name] = {"effect": lift}
        if sequential:
            out[name] |= {"last": hits["0.95 gain"][:, 1], "any": hits["0.95 gain"][:, 0]}
        else:
            out[name]["last"] = hits["once"][:, 1]
    return out
