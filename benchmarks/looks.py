"""Daily looks at arms of unequal size and at skewed outcomes, by what the report does. SIMULATED users.

Part of `benchmarks/experiment_statistics.py`. Users come in turn, 3.5 % of them on the first of 28 days,
and have all their outcomes when they come; their rates are lognormal. Only the sums per arm and day are
kept, and given to `stats.effects.effect` and `comparison.every_look`, as `compare` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from freshet.experiments.measurement.comparison import every_look
from freshet.experiments.stats.effects import effect
from freshet.experiments.stats.moments import Moments
from freshet.experiments.stats.multiplicity import mixing
from freshet.experiments.stats.power import Baseline, Design, detectable

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

    `level`: intervals at every look leave 0 out; `level harm` and `level gain`: on that side, where more is
    better; `level missed`: they leave the true effect out; `level before`: by the former rule (`former`).
    """
    found: dict[str, list[Any]] = {}
    for looks in experiments(world, tests, lift, seed):
        effects = [effect(c, t, adjusted=world.adjusted) for c, t in looks]
        for level in LEVELS.values():
            low, high = np.array(every_look(effects, DAYS, level=level)[0]).T
            hits = {
                f"{level}": (low > 0) | (high < 0),
                f"{level} harm": high < 0,
                f"{level} gain": low > 0,
                f"{level} missed": (high < lift) | (low > lift),
            }
            if not world.adjusted:
                hits[f"{level} before"] = former(looks, level)
            for name, days in hits.items():
                found.setdefault(name, []).append([days.any(), days[-1]])
    return {name: np.array(hits, bool) for name, hits in found.items()}


def once(world: World, tests: int, lift: float, seed: int) -> dict[str, Array]:
    """(tests,) for one look on the last day: whether the interval holds the truth, the same before decision
    26 (Welch's interval by the delta method), and whether p < 0.05."""
    found = []
    for looks in experiments(world, tests, lift, seed):
        control, treatment = looks[-1]
        one = effect(control, treatment)
        value, variance, df = _own(control, treatment)
        half = special.stdtrit(df, 0.975) * np.sqrt(variance)
        found.append([one.relative.low <= lift <= one.relative.high, abs(value - lift) <= half, one.p < 0.05])
    return dict(zip(("holds", "held before", "p"), np.array(found).T, strict=True))


def _own(control: Moments, treatment: Moments) -> tuple[float, float, float]:
    """treatment / control - 1, its variance by each arm's own spread, and Welch's degrees of freedom."""
    (c, error_c), (t, error_t) = (_plain(one) for one in (control, treatment))
    whole = error_c + error_t
    df = whole**2 / (error_c**2 / (control.n - 1) + error_t**2 / (treatment.n - 1))
    return t / c - 1, (error_t + (t / c) ** 2 * error_c) / c**2, df


def _plain(moments: Moments) -> tuple[float, float]:
    """The metric in an arm and its variance by the delta method; NaN if not known."""
    (y, d), n = moments.mean[:2], moments.n
    if n < 2 or not d:
        return np.nan, np.nan
    by = np.array([1, -y / d]) / d
    return y / d, max(0.0, float(by @ moments.scatter[:2, :2] @ by) / (n - 1) / n)


def former(looks: Sequence[tuple[Moments, Moments]], level: float) -> NDArray[np.bool_]:
    """(looks,) whether the rule before decision 26 left 0 out: on a scale that takes both arms alike, by each
    arm's own spread alone, which it took for known."""
    (c, error_c), (t, error_t) = (np.array([_plain(look[arm]) for look in looks]).T for arm in (0, 1))
    users = np.array([[one.n for one in look] for look in looks])
    share = users[:, 1] / np.maximum(1, users.sum(axis=1))
    with np.errstate(all="ignore"):
        mean = (1 - share) * c + share * t
        far = (error_t + (t / c) ** 2 * error_c) / c**2 / (1 + share * (t / c - 1)) ** 4
        v, s = np.maximum((error_c + error_t) / mean**2, far), (t - c) / mean
        known = np.isfinite(v) & (v > 0)
        if not known.any():
            return known
        first = int(known.argmax())
        to = mixing(float(v[first]) / np.sqrt(max(1.0, DAYS / (first + 1))), level)
        return known & (abs(s) > np.sqrt(v * (v + to) / to * (np.log1p(to / v) - 2 * np.log1p(-level))))


def planned(world: World, tests: int, seed: int, logs: int = 40) -> dict[str, Any]:
    """How often effects are found of which `power` says that 80 % of experiments like this find them.

    It says so by a log of as many users, another one for each of `logs` parts of the tests. `look`: one look
    at the end; `last`: the interval at every look, on the last day, which is what is planned, and at `any`.
    """
    hits: dict[str, list[Array]] = {"effect": [], "look": [], "last": [], "any": []}
    for log in range(logs):
        rng = np.random.default_rng([seed, log])
        users = people(rng, world, np.zeros((1, world.users), bool), 0.0)
        baseline = Baseline.of(Moments.of(np.column_stack([x[0] for x in users])))
        design = Design(world.share, days=DAYS)
        lift = detectable(baseline, world.users, design)
        part = max(1, tests // logs)
        hits["effect"].append(np.array([lift]))
        hits["look"].append(once(world, part, lift, seed + log)["p"])
        peeking = replace(design, sequential=True)
        found = seen(world, part, detectable(baseline, world.users, peeking), seed + log)["0.95 gain"]
        hits["last"].append(found[:, 1])
        hits["any"].append(found[:, 0])
    return {name: np.concatenate(parts) for name, parts in hits.items()}
