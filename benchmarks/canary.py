"""Does a canary take back what harms, and nothing else? SIMULATED users, whose true harm is known.

    python benchmarks/canary.py --json

Every test is one canary of a day, looked at every hour: users come when they come, return, and have outcomes
(rates lognormal, sigma 1.2, so a few bring most of them). What is decided at a look is what Freshet decides:
harm where the whole interval is harm, by the interval that holds at every look; for everybody where the harm
is shown to be smaller than the margin, or the day is over. For each number of users a day, share of the
canary and true effect:

- `taken_back`: tests in which the release was taken back, with its 95 % interval; `peeking`: the same where
  the usual 95 % interval is looked at as often;
- `early`: tests in which it served everybody before the day was over;
- `hours`: until it was taken back, median; `met_it`: users who were served it by then, share of all that came
  that day, median; without a canary everybody who comes meets it.

Rates of tests are per cent of `tests`.
"""

from __future__ import annotations

import math
import sys
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.config.canary_section import CanaryConfig
from freshet.experiments.measurement.comparison import every_look
from freshet.experiments.stats.effects import effect
from freshet.experiments.stats.moments import Moments
from shared import parse, parser, tell

SPREAD, VISITS, RATE, HOURS = 1.2, 2.0, 0.5, 24
"""Sigma of log-rates; visits of a user who comes that day; outcomes of a visit; looks."""
EFFECTS = (0.0, -0.05, -0.1, -0.2, -0.5)
DAYS = (2_000, 20_000, 200_000)
SHARES = (0.01, 0.05, 0.2)
LEVEL = 0.95


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--tests", type=int, default=1000, help="simulated canaries of each kind")
    made.add_argument("--seed", type=int, default=0)
    options = parse(made, tests=5)
    settings = CanaryConfig()
    rows = []
    for users, share, true in product(DAYS if not options.quick else DAYS[:1], SHARES, EFFECTS):
        rng = np.random.default_rng([options.seed, users, round(share * 1e4), round(-true * 1e4)])
        tests = max(5, options.tests // (10 if users > 100_000 else 1))
        found = [one(rng, users, share, true, settings) for _ in range(tests)]
        rows.append({"users": users, "share": share, "effect": true, "tests": tests} | summed(found))
        print(rows[-1], file=sys.stderr, flush=True)
    note = "SIMULATED users; one metric, one day, hourly looks"
    tell(options, {"note": note, "margin": settings.margin, "alpha": settings.alpha, "canaries": rows})


def one(
    rng: np.random.Generator, users: int, share: float, true: float, settings: CanaryConfig
) -> dict[str, float]:
    """One canary: the hours at which it was taken back, by peeking too, or let through early; inf = never."""
    tried = rng.random(users) < share
    rate = RATE * np.exp(rng.normal(0, SPREAD, users) - SPREAD**2 / 2) * np.where(tried, 1 + true, 1.0)
    hour, user = visits(rng, users)
    outcomes = rng.poisson(rate[user])
    y, seen = np.zeros(users), np.zeros(users, bool)
    end, peeked, met = math.inf, math.inf, math.nan
    early = math.inf
    for now in range(1, HOURS + 1):
        new = hour == now - 1
        np.add.at(y, user[new], outcomes[new])
        seen[user[new]] = True
        arms = [Moments.of(y[seen & ~tried]), Moments.of(y[seen & tried])]
        if min(one.n for one in arms) < 2:
            continue
        figure = effect(arms[0], arms[1], LEVEL, adjusted=False)
        if math.isinf(peeked) and figure.relative.high < 0:
            peeked = now
        if math.isinf(end) and math.isinf(early):
            [(low, high)], _, _ = every_look([figure], 1, settings.smallest_harm, 1 - settings.alpha)
            if high < 0:
                end, met = now, float((seen & tried).sum() / users)
            elif low > -settings.margin:
                early = now
    return {"end": end, "peeked": peeked, "early": early, "met": met}


def visits(rng: np.random.Generator, users: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(hour, user) of each visit of a day."""
    count = rng.poisson(VISITS, users)
    user = np.repeat(np.arange(users), count)
    return rng.integers(0, HOURS, len(user)), user


def summed(found: list[dict[str, float]]) -> dict[str, Any]:
    """Of all tests of a kind."""
    ends = np.array([one["end"] for one in found])
    back = np.isfinite(ends)
    met = np.array([one["met"] for one in found])[back]
    return {
        "taken_back": 100 * float(back.mean()),
        "interval": wilson(int(back.sum()), len(found)),
        "peeking": 100 * float(np.isfinite([one["peeked"] for one in found]).mean()),
        "early": 100 * float(np.isfinite([one["early"] for one in found]).mean()),
        "hours": float(np.median(ends[back])) if back.any() else None,
        "met_it": 100 * float(np.median(met)) if back.any() else None,
    }


def wilson(hits: int, tests: int) -> list[float]:
    """A 95 % interval of a share, in per cent."""
    z, p = 1.959964, hits / tests
    middle, half = p + z * z / (2 * tests), z * math.sqrt(p * (1 - p) / tests + z * z / (4 * tests**2))
    return [100 * (middle - half) / (1 + z * z / tests), 100 * (middle + half) / (1 + z * z / tests)]


if __name__ == "__main__":
    main()
