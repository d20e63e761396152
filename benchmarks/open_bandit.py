"""Off-policy estimates on Open Bandit: a policy's click rate by the other's log, against its own click rate.

    python benchmarks/open_bandit.py PATH --json

PATH is a Parquet file with a row per impression: policy (`random`, `bts`), campaign, item_id, position,
click, propensity. Both policies ran side by side, so what is estimated was also measured. Two directions in
each campaign:

- from `bts` to `random`: the target takes each item with probability 1 / items; propensities are the log's.
- from `random` to `bts`: Open Bandit gives bts's propensities only for what bts showed. Its probability of an
  item at a position is therefore taken to be how often bts showed it there, an average over the week.

Nobody is named, so that rows are taken for independent. The model of `doubly_robust` is the cross-fitted
`replay.off_policy.reward_model`: a smoothed click rate per item. Of each estimate:

- `value`, `low`, `high`, `measured` with its own interval, and `apart`: the difference in standard errors of
  both together (the measured rate is an estimate, too).
- `effective` rows, and `effective_rewards`, clicks, that would say as much at equal weights; `largest`
  weight.
- `coverage` over bootstrap samples of both logs, in percent: `itself`: samples whose interval holds the
  estimate by the whole log (95 is right); `measured`: that hold the measured rate as if it were exact;
  `both`: whose estimate and own measured rate differ by less than 1.96 standard errors of both.
- `bias`: mean over bootstrap samples minus the estimate by the whole log, in percent of it.

`known`: SIMULATED logs whose true value is known, with clicks as rare, and a target that takes each item as
often: coverage in percent, misses `below` and `above`, by how uneven the logging policy is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Outcomes
from freshet.experiments.stats.effects import Estimate
from freshet.experiments.stats.off_policy import Logged, OffPolicy, doubly_robust, ips, self_normalised
from freshet.replay.off_policy import reward_model
from shared import parse, parser, tell

Floats = NDArray[np.float64]
METHODS = {"ips": ips, "self_normalised": self_normalised, "doubly_robust": doubly_robust}
ROWS, ITEMS, RATE = 10_000, 34, 0.005
WORLDS = {"even": 0.0, "uneven": 1.0, "very uneven": 2.0}
"""Standard deviation of the logging policy's logits."""


@dataclass(frozen=True)
class Log:
    """n impressions, (n,) each: item, position from 0, click, propensity under the policy that showed it."""

    item: NDArray[np.int64]
    position: NDArray[np.int64]
    click: Floats
    propensity: Floats

    def take(self, rows: NDArray[np.int64]) -> Log:
        return Log(self.item[rows], self.position[rows], self.click[rows], self.propensity[rows])

    def measured(self) -> Estimate:
        ones = np.ones(len(self.click))
        return ips(Logged(np.arange(len(self.click), dtype=np.uint64), self.click, ones, ones)).value

    def frequencies(self, items: int) -> Floats:
        """(positions, items) how often each item was shown at each position."""
        counts = np.zeros((3, items))
        np.add.at(counts, (self.position, self.item), 1)
        return counts / np.maximum(1, counts.sum(axis=1, keepdims=True))


def main() -> None:
    made = parser(__doc__)
    made.add_argument("path", nargs="?", type=Path, help="the impressions; without them SIMULATED logs alone")
    made.add_argument("--resamples", type=int, default=1000)
    made.add_argument("--tests", type=int, default=1000)
    made.add_argument("--seed", type=int, default=0)
    options = parse(made, resamples=5, tests=5)
    began = time.process_time()
    found: dict[str, Any] = {"known": known(options.tests, options.seed), "campaigns": {}}
    if options.path is not None:
        found["campaigns"] = campaigns(options.path, options.resamples, options.seed)
    sizes = {"tests": options.tests, "resamples": options.resamples, "seed": options.seed}
    tell(options, {**found, **sizes, "cpu_seconds": round(time.process_time() - began, 1)})


def campaigns(path: Path, resamples: int, seed: int) -> dict[str, Any]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    found: dict[str, Any] = {}
    for campaign in sorted(set(table["campaign"].to_pylist())):
        logs = {policy: _log(table, campaign, policy) for policy in ("random", "bts")}
        items = 1 + max(int(log.item.max()) for log in logs.values())
        found[f"{campaign}: random from bts"] = judged(
            logs["bts"], logs["random"], items, True, resamples, seed
        )
        found[f"{campaign}: bts from random"] = judged(
            logs["random"], logs["bts"], items, False, resamples, seed
        )
    return found


def _log(table: Any, campaign: str, policy: str) -> Log:
    frame = table.filter(
        [one == campaign and two == policy for one, two in
         zip(table["campaign"].to_pylist(), table["policy"].to_pylist(), strict=True)]
    )  # fmt: skip
    return Log(
        frame["item_id"].to_numpy().astype(np.int64),
        frame["position"].to_numpy().astype(np.int64) - 1,
        np.asarray(frame["click"].to_pylist(), np.float64),
        frame["propensity"].to_numpy().astype(np.float64),
    )


def judged(log: Log, target: Log, items: int, uniform: bool, resamples: int, seed: int) -> dict[str, Any]:
    """Estimates of the target from another policy's log, and how they do over bootstrap samples of both."""
    rng = np.random.default_rng(seed)
    whole, rate = estimates(log, chances(target, items, uniform)), target.measured()
    drawn: list[tuple[dict[str, OffPolicy], Estimate]] = []
    for _ in range(resamples):
        one, other = (each.take(rng.integers(0, len(each.click), len(each.click))) for each in (log, target))
        drawn.append((estimates(one, chances(other, items, uniform)), other.measured()))
    return {"measured": plain(rate)} | {
        name: {
            **plain(found.value),
            "apart": round(
                (found.value.value - rate.value) / (found.value.variance + rate.variance) ** 0.5, 2
            ),
            "effective": round(found.support.effective),
            "effective_rewards": round(found.support.effective_rewards, 1),
            "largest": round(found.support.largest, 1),
            "note": found.note,
            "coverage": {
                "itself": share([holds(one[name].value, found.value.value) for one, _ in drawn]),
                "measured": share([holds(one[name].value, rate.value) for one, _ in drawn]),
                "both": share([agree(one[name].value, own) for one, own in drawn]),
            },
            "bias": round(
                100 * (np.mean([one[name].value.value for one, _ in drawn]) / found.value.value - 1), 1
            ),
        }
        for name, found in whole.items()
    }


def chances(target: Log, items: int, uniform: bool) -> Floats:
    """(positions, items) how likely the target takes each item."""
    return np.full((3, items), 1 / items) if uniform else target.frequencies(items)


def estimates(log: Log, chance: Floats) -> dict[str, OffPolicy]:
    """By each method; the model is fitted on the other half of the rows."""
    n, items = len(log.click), chance.shape[1]
    user = np.arange(n, dtype=np.uint64) * np.uint64(7919)  # every other row, as `fold_of` divides users
    outcomes = Outcomes(
        np.full((n, 1), -1, np.int16), log.item.astype(np.int16), np.zeros(n, np.int32), np.zeros(n),
        log.click > 0, np.arange(n), user,
    )  # fmt: skip
    rates = np.array([model.of(-1) for model in reward_model.cross_fitted(outcomes, items)])
    fold = reward_model.fold_of(user)
    logged = Logged(
        user,
        log.click,
        log.propensity,
        np.minimum(1.0, chance[log.position, log.item]),
        rates[fold, log.item],
        (chance[log.position] * rates[fold]).sum(axis=1),
    )
    return {name: method(logged) for name, method in METHODS.items()}


def known(tests: int, seed: int) -> dict[str, Any]:
    """Coverage of SIMULATED logs' intervals of a uniform target, by how uneven the logging policy is."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, sigma in WORLDS.items():
        rows = []
        for _ in range(tests):
            rates = RATE * np.exp(rng.normal(0, 0.3, ITEMS))
            logits = rng.normal(0, sigma, ITEMS)
            policy = np.exp(logits) / np.exp(logits).sum()
            item = rng.choice(ITEMS, ROWS, p=policy)
            click = (rng.random(ROWS) < rates[item]).astype(np.float64)
            log = Log(item, rng.integers(0, 3, ROWS), click, policy[item])
            rows.append((estimates(log, np.full((3, ITEMS), 1 / ITEMS)), rates.mean()))
        found[name] = {
            method: {
                "coverage": share([holds(one[method].value, truth) for one, truth in rows]),
                "below": share([one[method].value.high < truth for one, truth in rows]),
                "above": share([one[method].value.low > truth for one, truth in rows]),
                "bias": round(100 * float(np.mean([one[method].value.value / t - 1 for one, t in rows])), 1),
                "width": round(
                    100
                    * float(np.median([(v.high - v.low) / t for one, t in rows if (v := one[method].value)]))
                ),
                "noted": share([bool(one[method].note) for one, _ in rows]),
                "coverage_unless_noted": share(
                    [holds(one[method].value, truth) for one, truth in rows if not one[method].note]
                ),
                "effective_rewards": round(
                    float(np.median([one[method].support.effective_rewards for one, _ in rows])), 1
                ),
            }
            for method in METHODS
        }
    return {"simulated": True, "rows": ROWS, "rate": RATE, **found}


def plain(one: Estimate) -> dict[str, float]:
    return {"value": round(one.value, 5), "low": round(one.low, 5), "high": round(one.high, 5)}


def holds(one: Estimate, truth: float) -> bool:
    return one.low <= truth <= one.high


def agree(one: Estimate, other: Estimate) -> bool:
    """Whether two independent estimates differ by no more than their errors together, at level 0.95."""
    return abs(one.value - other.value) <= 1.96 * (one.variance + other.variance) ** 0.5


def share(cases: list[bool]) -> float:
    """In percent; NaN of none is -1, which no share is."""
    return round(100 * float(np.mean(cases)), 1) if cases else -1.0


if __name__ == "__main__":
    main()
