"""Daily looks at rare outcomes, by just what `freshet experiment report` does. SIMULATED users.

Part of `benchmarks/experiment_statistics.py`. Users come in turn, 3.5 % of them on the first of 28 days,
and have all their outcomes when they come. Nothing is planned on other users: T follows from the first day.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np

from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.experiments.measurement.comparison import Comparison, compare
from freshet.experiments.measurement.experiment_metrics import Metric
from freshet.experiments.measurement.exposures import Exposures
from freshet.experiments.measurement.measure import Measurement
from freshet.experiments.stats.moments import Moments
from freshet.experiments.stats.tally import DayMoments, Users

DAYS, FIRST, LIFT = 28, 0.035, 0.5
WORLDS = {
    "rate 0.5": (0.5, 2000, 0.0),
    "rate 0.1": (0.1, 2000, 0.0),
    "rate 0.03": (0.03, 5000, 0.0),
    "rate 0.02": (0.02, 2000, 0.0),
    "rate 0.1, heavy": (0.1, 2000, 1.0),
    "rate 0.02, heavy": (0.02, 2000, 1.0),
}
"""Mean outcomes per user, users, sigma of log-rates."""
METRIC = Metric("outcomes", "outcomes per user", "higher", "user")
ARMS = tuple(ExperimentArm(name, 0.5, Serves()) for name in ("control", "treatment"))
EXPERIMENT = Experiment("simulated", "salt", ARMS, 1.0, ("outcomes",), 0, 1, DAYS)


def rare(tests: int, seed: int) -> dict[str, dict[str, list[bool]]]:
    """By world, and for each test: whether always-valid intervals left 0 out at any look, and on which side;
    which verdict came last; and with a true effect of +50 %, whether any look's interval left that out."""
    found: dict[str, dict[str, list[bool]]] = {}
    for world, (rate, users, sigma) in WORLDS.items():
        kept: dict[str, list[bool]] = {
            name: [] for name in ("any", "harm", "gain", "verdict", "missed", "found")
        }
        for test in range(tests):
            none = lived(np.random.default_rng([seed, test]), rate, users, sigma, 0.0)
            low, high = bounds(none)
            kept["harm"].append(bool((high < 0).any()))
            kept["gain"].append(bool((low > 0).any()))
            kept["any"].append(kept["harm"][-1] or kept["gain"][-1])
            kept["verdict"].append(none.verdict in ("better", "worse", "reversed"))
            some = lived(np.random.default_rng([seed + 1, test]), rate, users, sigma, LIFT)
            low, high = bounds(some)
            kept["missed"].append(bool(((low > LIFT) | (high < LIFT)).any()))
            kept["found"].append(some.verdict == "better")
        found[world] = kept
    return found


def bounds(one: Comparison) -> Any:
    """(2, looks) of the intervals that hold at every look."""
    return np.array([look.always for look in one.cumulative]).T


def lived(rng: np.random.Generator, rate: float, users: int, sigma: float, lift: float) -> Comparison:
    """An experiment, and what is said of it at its end."""
    arm = rng.integers(0, 2, users).astype(np.int8)
    rates = rate * rng.lognormal(-(sigma**2) / 2, sigma, users) * (1 + lift * arm)
    y = rng.poisson(rates).astype(float)
    moments = []
    for day in range(DAYS):
        come = int(users * (FIRST + (1 - FIRST) * day / (DAYS - 1)))
        sides = tuple(Moments.of(y[:come][arm[:come] == one]) for one in (0, 1))
        moments.append(DayMoments(sides, sides))
    spent = tuple(date(2024, 3, 1) + timedelta(days=day) for day in range(DAYS))
    known = Users(np.arange(users, dtype=np.uint64), arm, np.zeros(users, np.int64))
    shown = Exposures(EXPERIMENT, known, spent, (), 0, {})
    measured = Measurement(
        EXPERIMENT, (METRIC,), shown, spent, {METRIC.name: tuple(moments)}, {METRIC.name: 0}, 0
    )
    [found] = compare(measured)
    return found
