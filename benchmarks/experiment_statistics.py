"""Are the statistics of experiments right? SIMULATED users, whose true effects are known.

    python benchmarks/experiment_statistics.py --json

Every test draws its users anew: rates lognormal (sigma 1: the busiest percent brings 9 % of all events),
tastes beta, outcomes Poisson; so counts are heavy-tailed, and what one user does is alike. Arms are assigned
by `freshet.experiments.assignment.arms_of`. Of the metrics, `mean` is satisfied outcomes per user, `ratio`
the satisfied share of rated ones; `adjusted` uses covariates of earlier days, which three users in ten don't
have.
In percent, with 95 % Monte-Carlo intervals:

- `aa_false_positive`: A/A tests whose interval leaves 0 out at one look (5 is right); of the variants the one
  furthest from 5.
- `aa_sequential_false_positive`: A/A tests whose always-valid interval leaves 0 out at any of 28 daily looks,
  with users returning and new ones arriving (at most 5 is right); the highest. `peeking`: by plain intervals.
  T follows from each test's first day, as in a report. `noisier`: a quarter of the tests where, against the
  intervals' assumption, users scatter more by the day.
- `rare`: a tenth as many A/A tests of rare outcomes, looked at daily by the report's own code, whose
  always-valid interval leaves 0 out (at most 5 is right): `any` look, on the side of `harm` or of `gain`, and
  with a last `verdict` of an effect; with a true effect of +50 %, `missed`: any look's interval leaves that
  out (at most 5), `found`: the last verdict is better. `aa_rare_false_positive`: the highest `any`.
- `aa_sequential_false_positive.<split>.<world>` (at most 5 is right) and `aa_guardrail_false_positive...`
  (level 0.99, at most 1 is right): a fifth as many A/A tests of arms of unequal size and of skewed outcomes,
  looked at daily as the report does (`looks.py`), whose always-valid interval leaves 0 out at any look.
  `before...`: the same tests by the rule before decision 26. Splits are control/treatment in percent; worlds
  name the sigma of log-rates, the metric and the users of both arms.
- `guardrail_power...`: a 25th as many tests with a true effect of -50 % that level 0.99 finds at any look;
  `missed...`: of the same, level 0.95 leaves the true effect out at any look (at most 5 is right).
  `power...`: with one of +20 % and equal arms, found at any look and by the last, now and `before`.
- `power_at_mde`: of two in five tests of several designs with the smallest effect that `power` says 80 % see,
  by a log of as many users, those that do: at one `look`, by the always-valid interval on the `last` day
  (which is what is planned), and at `any` look; at top the furthest from 80 of equal arms.
- `coverage.<split>.<world>.<effect>`: intervals for one look that hold the truth, and `before`.
- `coverage`: tests with a true effect of +10 % whose interval holds it (95 is right); the furthest from 95.
- `cuped_ratio`: variance of the adjusted effect over that of the plain one across A/A tests, of `mean`;
  beside it `one_minus_rho2`, what theory says for these users.
- `sample_ratio_alarm`: A/A tests with p < 0.001 of the sample-ratio check (0.1 is right).
- `off_policy`: logs of 200 users with 20 decisions each whose interval holds a target policy's known value;
  `naive` is IPS that takes rows for independent.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.experiments.assignment import arms_of
from freshet.experiments.stats.effects import effect
from freshet.experiments.stats.moments import Moments
from freshet.experiments.stats.multiplicity import always_valid, mixing
from freshet.experiments.stats.off_policy import Logged, doubly_robust, ips, self_normalised
from freshet.experiments.stats.sample_ratio import sample_ratio
from looks import GAIN, HARM, LEVELS, MORE, WORLDS, World, once, planned, seen
from rare import rare
from shared import parse, parser, tell

Array = NDArray[np.float64]
SPREAD, TASTE, RATE, PAST, WITH_PAST = 1.0, 3.0, 10.0, 10.0, 0.7
"""Sigma of log-rates; both parameters of tastes; mean rated now and before; share of users with a past."""
LIFT, DAYS, DAILY, AT_START = 0.1, 28, 0.7, 0.4
"""True effect; daily looks, mean rated a day, and share of users who come on the first day."""
SMOKE = 20
"""Up to so many tests of a kind, figures only say that everything runs; so the smallest worlds will do."""
SIZES = {world.users for world in WORLDS}
DESIGNS = [
    World(1.0, "mean", 4000),
    World(1.0, "ratio", 4000),
    World(1.0, "mean", 20_000),
    World(1.0, "mean", 4000, rate=0.1),
    World(2.0, "ratio", 20_000),
    World(1.0, "mean", 4000, 0.1),
    World(1.0, "ratio", 20_000, 0.05),
]
VARIANTS = (("mean", False), ("mean", True), ("ratio", False), ("ratio", True))


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--tests", type=int, default=10_000, help="simulated tests of each kind")
    made.add_argument("--users", type=int, default=4000, help="users of a test with one look, both arms")
    made.add_argument("--daily-users", type=int, default=1200, help="users of a test looked at daily")
    made.add_argument("--seed", type=int, default=0)
    options = parse(made, tests=10, users=400, daily_users=200)
    tell(options, measure(options.tests, options.users, options.daily_users, options.seed))


def measure(tests: int, users: int, daily_users: int, seed: int) -> dict[str, Any]:
    """The figures; see the module."""
    began = time.process_time()
    aa, alarms = one_look(tests, users, 0.0, seed)
    done("A/A", began)
    ab, _ = one_look(tests, users, LIFT, seed + 1)
    done("A/B", began)
    looked = daily(tests, daily_users, seed + 2)
    done("daily looks", began)
    noisier = daily(max(1, tests // 4), daily_users, seed + 5, noisier=True)
    done("noisier days", began)
    scarce = {
        world: {name: share(np.array(hits)) for name, hits in kept.items()}
        for world, kept in rare(max(1, tests // 10), seed + 6).items()
    }
    done("rare outcomes", began)
    off_policy = bandits(max(1, tests // 5), seed + 3)
    unequal = looks(max(1, tests // 5), seed + 7)
    done("unequal arms", began)
    at_mde = designs(max(1, tests * 2 // 5), seed + 8)
    done("power", began)
    small = covered_once(max(1, tests // 5), seed + 9)
    false = {name: share(~held(rows, 0.0)) for name, rows in aa.items()}
    covered = {name: share(held(rows, LIFT)) for name, rows in ab.items()}
    cuped, theory = cuped_of(aa), theory_of(seed + 4)
    return {
        "simulated": True,
        "aa_false_positive": furthest(false, 5.0),
        "aa_sequential_false_positive": max(one["always_valid"][0] for one in looked.values()),
        "aa_rare_false_positive": max(one["any"][0] for one in scarce.values()),
        "coverage": furthest(covered, 95.0),
        "cuped_ratio": cuped["mean"][0],
        "one_minus_rho2": theory["mean"],
        "false_positives": false,
        "false_positives_by_p": {name: share(rows[:, 4] < 0.05) for name, rows in aa.items()},
        "daily": looked,
        "noisier": noisier,
        "rare": scarce,
        "coverages": covered,
        "cuped": {name: {"ratio": cuped[name], "one_minus_rho2": theory[name]} for name in cuped},
        "sample_ratio_alarm": share(alarms),
        "off_policy": off_policy,
        "power_at_mde": furthest(
            {name: one[way] for name, one in at_mde.items() for way in ("look", "last") if name[:3] == "50/"},
            80.0,
        ),
        **{f"power_at_mde.{name}": one for name, one in at_mde.items()},
        **{f"coverage.{name}": one for name, one in small.items()},
        **unequal,
        "tests": tests,
        "users": {"one look": users, "daily": daily_users},
        "seed": seed,
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def looks(tests: int, seed: int) -> dict[str, list[float]]:
    """Daily looks at arms of unequal size, by what is asked, split and world."""
    found: dict[str, list[float]] = {}
    worlds = [*WORLDS, *MORE] if tests > SMOKE else [world for world in WORLDS if world.users == min(SIZES)]
    for world in worlds:
        name = f"{world.split}.{world.name}"
        none = seen(world, tests, 0.0, seed)
        for asked, level in LEVELS.items():
            found[f"{asked}.{name}"] = share(none[f"{level}"][:, 0])
            if f"{level} before" in none:
                found[f"before.{asked}.{name}"] = share(none[f"{level} before"][:, 0])
        if world.users == min(SIZES) or world.share == 0.1:
            some = seen(world, max(1, tests // 5), HARM, seed + 1)
            found[f"guardrail_power.{name}"] = share(some["0.99 harm"][:, 0])
            found[f"missed.{name}"] = share(some["0.95 missed"][:, 0])
        if world.share == 0.5 and world in WORLDS:
            some = seen(world, max(1, tests // 2), GAIN, seed + 2)
            for column, when in enumerate(("any", "last")):
                found[f"power.{name}.{when}"] = share(some["0.95"][:, column])
                found[f"power.{name}.{when}.before"] = share(some["0.95 before"][:, column])
        done(name, 0.0)
    return found


def designs(tests: int, seed: int) -> dict[str, dict[str, Any]]:
    """Of several designs: the effect that 80 % of tests are said to find (mean over logs), and how often
    it is found."""
    found = {}
    for world in DESIGNS[: None if tests > SMOKE else 1]:
        hits = planned(world, tests, seed)
        found[f"{world.split}.{world.name}"] = {
            "effect": round(float(hits.pop("effect").mean()), 4),
            **{name: share(hit) for name, hit in hits.items()},
        }
    return found


def covered_once(tests: int, seed: int) -> dict[str, dict[str, list[float]]]:
    """10,000 users against 500, either way round, and 2000 against 2000: do intervals for one look hold?"""
    found = {}
    for metric, sigma, (control, treatment), lift in product(
        ("mean", "ratio"), (1.0, 2.0), ((10_000, 500), (500, 10_000), (2000, 2000)), (0.0, 0.5, HARM)
    ):
        if metric == "ratio" and lift > 0:
            continue  # a share can't rise by half
        if tests <= SMOKE and control != treatment:
            continue
        users = control + treatment
        hits = once(World(sigma, metric, users, treatment / users), tests, lift, seed)
        name = f"{control}/{treatment}.sigma{sigma:g}-{metric}.{lift:+.0%}"
        found[name] = {"holds": share(hits["holds"]), "before": share(hits["held before"])}
    return found


def people(rng: np.random.Generator, *shape: int) -> tuple[Array, Array]:
    """Each user's rate (mean 1) and taste (share of what they rate that satisfies, at most 0.9)."""
    return rng.lognormal(-(SPREAD**2) / 2, SPREAD, shape), 0.9 * rng.beta(TASTE, TASTE, shape)


def outcomes(rng: np.random.Generator, rate: Array, taste: Array) -> tuple[Array, Array]:
    """Satisfied outcomes and all rated ones."""
    satisfied = rng.poisson(rate * taste)
    return satisfied.astype(float), (satisfied + rng.poisson(rate * (1 - taste))).astype(float)


def visitors(rng: np.random.Generator, n: int, lift: Array) -> Array:
    """(n, 4) satisfied, rated, and both of the days before; tastes are 1 + lift (n,) times what they were."""
    rate, taste = people(rng, n)
    now = outcomes(rng, RATE * rate, taste * (1 + lift))
    before = outcomes(rng, PAST * rate * (rng.random(n) < WITH_PAST), taste)
    return np.column_stack([*now, *before])


def assigned(rng: np.random.Generator, number: int, n: int) -> NDArray[np.int64]:
    """(n,) 0 in control, 1 in treatment, by the hash that serving uses."""
    arms = tuple(ExperimentArm(name, 0.5, Serves()) for name in ("control", "treatment"))
    experiment = Experiment("simulated", f"salt {number}", arms, 1.0, ("satisfied",), 0, 1)
    return arms_of(experiment, rng.integers(0, 2**64, n, np.uint64))


def one_look(tests: int, n: int, lift: float, seed: int) -> tuple[dict[str, Array], NDArray[np.bool_]]:
    """Variant -> (tests, 5) relative effect, its bounds, absolute effect, p; and sample-ratio alarms."""
    found = {name_of(*variant): np.empty((tests, 5)) for variant in VARIANTS}
    alarms = np.zeros(tests, bool)
    for test in range(tests):
        rng = np.random.default_rng([seed, test])
        arm = assigned(rng, test, n)
        rows = visitors(rng, n, lift * arm)
        means = rows.copy()
        means[:, 1] = 1.0
        for metric, values in (("mean", means[:, :3]), ("ratio", rows)):
            sides = [Moments.of(values[arm == one]) for one in (0, 1)]
            for adjusted in (False, True):
                one = effect(*sides, adjusted=adjusted)
                bounds = one.relative.value, one.relative.low, one.relative.high
                found[name_of(metric, adjusted)][test] = *bounds, one.absolute.value, one.p
            alarms[test] = sample_ratio([side.n for side in sides], [1, 1]).alarm
    return found, alarms


def name_of(metric: str, adjusted: bool) -> str:
    """Of a variant."""
    return f"{metric} adjusted" if adjusted else metric


def held(rows: Array, truth: float) -> NDArray[np.bool_]:
    """Whether each interval holds the truth."""
    return np.asarray((rows[:, 1] <= truth) & (truth <= rows[:, 2]))


def cuped_of(aa: dict[str, Array]) -> dict[str, list[float]]:
    """Metric -> variance of the adjusted effect over the plain one's; resampled for its interval."""
    rng = np.random.default_rng(0)
    out = {}
    for metric in ("mean", "ratio"):
        pair = np.stack([aa[name_of(metric, adjusted)][:, 3] for adjusted in (False, True)])
        draws = [pair.var(axis=1)] + [
            pair[:, rng.integers(0, pair.shape[1], pair.shape[1])].var(axis=1) for _ in range(500)
        ]
        ratio = 100 * np.array([after / before for before, after in draws])
        out[metric] = [round(float(x), 2) for x in (ratio[0], *np.quantile(ratio[1:], [0.025, 0.975]))]
    return out


def theory_of(seed: int, n: int = 4_000_000) -> dict[str, float]:
    """Metric -> 100 (1 - rho^2): of the mean in closed form, of the ratio by least squares over n users."""
    rate2, taste, taste2 = np.exp(SPREAD**2), 0.45, 0.81 * (0.25 + 0.25 / (2 * TASTE + 1))
    varies = rate2 * taste2 - taste**2  # of rate * taste
    y = RATE * taste + RATE**2 * varies
    before = PAST * taste + PAST**2 * rate2 * taste2
    x = WITH_PAST * before - (WITH_PAST * PAST * taste) ** 2
    both = WITH_PAST * RATE * PAST * varies
    rows = visitors(np.random.default_rng(seed), n, np.zeros(n))
    linear = rows[:, 0] - rows[:, 0].mean() / rows[:, 1].mean() * rows[:, 1]
    past = rows[:, 2:] - rows[:, 2:].mean(axis=0)
    left = linear - past @ np.linalg.lstsq(past, linear, rcond=None)[0]
    return {
        "mean": round(100 * (1 - both**2 / (x * y)), 2),
        "ratio": round(100 * float(left.var() / linear.var()), 2),
    }


def daily(tests: int, n: int, seed: int, noisier: bool = False, at_once: int = 50) -> dict[str, Any]:
    """A/A tests looked at on each of 28 days; `adjusted`, which is slower, in the first fifth of them."""
    found: dict[str, list[Any]] = {"mean": [], "ratio": [], "mean adjusted": []}
    for test in range(0, tests, at_once):
        rng, size = np.random.default_rng([seed, 1 + test]), min(at_once, tests - test)
        arm = np.stack([assigned(rng, test + i, n) for i in range(size)])
        days = list(cumulated(rng, size, n, noisier))
        for metric, looks in found.items():
            if "adjusted" in metric and test * 5 >= tests:
                continue
            way = one_by_one if "adjusted" in metric else relative
            value, variance = np.stack([way(columns(day, metric), day[2] > 0, arm) for day in days], axis=2)
            t = mixing(1.0) * variance[:, :1] / np.sqrt(DAYS)  # as `comparison` plans by the first day
            low, high = always_valid(value, variance, t)  # (tests, days)
            plain = np.abs(value) > 1.96 * np.sqrt(variance)
            looks.append([((low > 0) | (high < 0)).any(axis=1), plain.any(axis=1), plain[:, -1]])
    names = ("always_valid", "peeking", "last_day")
    return {
        metric: dict(zip(names, map(share, np.concatenate(looks, axis=1)), strict=True))
        for metric, looks in found.items()
    }


def cumulated(rng: np.random.Generator, size: int, n: int, noisier: bool = False) -> Iterator[Array]:
    """Day by day (4, size, n): satisfied and rated so far, who has come, satisfied before they came.

    Args:
        noisier: multiply each user's rate on each day by gamma noise of variance 1, 2, 3 and so on.
    """
    rate, taste = people(rng, size, n)
    first = np.where(rng.random((size, n)) < AT_START, 0, rng.integers(1, DAYS, (size, n)))
    past = rng.poisson(PAST * rate * taste * (rng.random((size, n)) < WITH_PAST))
    total = np.zeros((2, size, n))
    for day in range(DAYS):
        here = first <= day
        noise = rng.gamma(1 / (1 + day), 1 + day, (size, n)) if noisier else 1.0
        total += outcomes(rng, DAILY * rate * here * noise, taste)
        yield np.concatenate([total, here[None], past[None]])


def columns(day: Array, metric: str) -> Array:
    """(size, n, 2 or 3) numerator, denominator and, for an adjusted metric, the covariate."""
    found = [day[0], day[1] if metric == "ratio" else day[2]]
    return np.stack([*found, day[3]] if "adjusted" in metric else found, axis=2)


def relative(values: Array, here: NDArray[np.bool_], arm: NDArray[np.int64]) -> tuple[Array, Array]:
    """(size,) estimates and variances that `every_look` tests for no effect, of many tests at once."""
    sides = []
    for one in (0, 1):
        who = here * (arm == one)
        n, (y, d) = who.sum(axis=1), np.einsum("en,enk->ke", who, values)
        linear = (values[:, :, 0] - (y / d)[:, None] * values[:, :, 1]) * who
        alike = d**2 / np.square(values[:, :, 1] * who).sum(axis=1)
        leverage = ((1 - 1 / n) / (1 - 1 / alike)) ** 2
        sides.append((n, alike, y / d, np.square(linear).sum(axis=1) * n / (n - 1) / d**2 * leverage))
    (n_c, alike_c, c, var_c), (n_t, alike_t, t, var_t) = sides
    own, part = var_c + var_t, var_c / (var_c + var_t)
    spread = np.maximum(own, var_c * n_c / n_t + var_t * n_t / n_c)
    df = 1 / (part**2 / (alike_c - 1) + (1 - part) ** 2 / (alike_t - 1))
    z = np.sign(c - t) * special.ndtri(special.stdtr(df, -abs(t - c) / np.sqrt(spread)))
    variance = spread / ((n_c * c + n_t * t) / (n_c + n_t)) ** 2
    found = z * np.sqrt(variance), variance
    np.testing.assert_allclose([x[:1] for x in found], one_by_one(values[:1], here[:1], arm[:1]), rtol=1e-9)
    return found


def one_by_one(values: Array, here: NDArray[np.bool_], arm: NDArray[np.int64]) -> tuple[Array, Array]:
    """The same by `effect`, adjusted where there is a covariate."""
    found = []
    for rows, users, arms in zip(values, here, arm, strict=True):
        sides = (Moments.of(rows[users & (arms == one)]) for one in (0, 1))
        one = effect(*sides, adjusted=values.shape[2] > 2)
        found.append((one.z * np.sqrt(one.null), one.null))
    return np.array([one for one, _ in found]), np.array([variance for _, variance in found])


REWARD = np.array([[0.1, 0.25, 0.4], [0.3, 0.15, 0.05]])  # (contexts, actions)
LOGGING = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
TARGET = np.array([[0.1, 0.3, 0.6], [0.7, 0.2, 0.1]])
MODEL = REWARD + np.array([[0.05, -0.05, 0.05], [-0.05, 0.05, 0.05]])


def bandits(logs: int, seed: int) -> dict[str, Any]:
    """Share of logs whose interval holds the target's value, and the spread of the estimates."""
    truth = float((REWARD * TARGET).sum(axis=1).mean())
    ways = {"ips": ips, "self_normalised": self_normalised, "doubly_robust": doubly_robust}
    found: dict[str, list[tuple[float, bool]]] = {name: [] for name in (*ways, "naive")}
    for log in range(logs):
        logged = decisions(np.random.default_rng([seed, log]))
        alone = replace(logged, user=np.arange(len(logged.user), dtype=np.uint64))
        estimates = {name: way(logged).value for name, way in ways.items()} | {"naive": ips(alone).value}
        for name, one in estimates.items():
            found[name].append((one.value, one.low <= truth <= one.high))
    return {"logs": logs, "truth": truth} | {
        name: {
            "coverage": share(np.array([held for _, held in rows])),
            "mean": round(float(np.mean([value for value, _ in rows])), 4),
            "spread": round(float(np.std([value for value, _ in rows])), 4),
        }
        for name, rows in found.items()
    }


def decisions(rng: np.random.Generator, users: int = 200, each: int = 20) -> Logged:
    """A log of two contexts and three actions; users keep to a context, and some are pleased more easily."""
    user = np.repeat(np.arange(users, dtype=np.uint64), each)
    context = np.repeat(rng.integers(0, 2, users), each)
    action = (rng.random(len(user))[:, None] > LOGGING[context].cumsum(axis=1)).sum(axis=1)
    mood = np.repeat(rng.uniform(0, 2, users), each)
    reward = (rng.random(len(user)) < REWARD[context, action] * mood).astype(float)
    at = context, action
    return Logged(user, reward, LOGGING[at], TARGET[at], MODEL[at], (MODEL * TARGET).sum(axis=1)[context])


def share(hits: NDArray[np.bool_]) -> list[float]:
    """Percent, and its 95 % interval (Wilson)."""
    n, p, z = len(hits), float(hits.mean()), 1.96
    middle, half = p + z * z / 2 / n, z * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    return [round(100 * float(x), 2) for x in (p, *((middle + np.array([-half, half])) / (1 + z * z / n)))]


def furthest(shares: dict[str, list[float]], right: float) -> float:
    """Of the variants, the share furthest from what is right."""
    return max((one[0] for one in shares.values()), key=lambda x: abs(x - right))


def done(what: str, began: float) -> None:
    """Progress, to the error stream."""
    print(f"{what}: done after {time.process_time() - began:.0f} s of CPU", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
