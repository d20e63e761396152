"""Cadence policies in SIMULATED worlds of which the truth is known: refreshes, delays, gain kept, regret.

A table is refreshed by counting anew: what is judged is the fitted mixture of counts, by the true probability
that the next interest is among its first five. Policies look every morning of a quarter and see the past
alone. The oracle knows the truth and refreshes where losses and costs together are least.

    python benchmarks/cadence.py --seeds 6 --json
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from freshet.core.ports import CadencePolicy
from freshet.core.types import RECENT, FloatArray, Signs, Staleness, Sums, Transitions
from freshet.simulator import SIMULATED, World, known_answers
from freshet.stages import counts
from freshet.stages.schedule import Combined, CostAware, DriftTriggered, Fixed
from shared import parse, parser, tell

WARM, CHANGE, DAYS = 49, 90, 140
"""First table, the change of abrupt worlds, end: 91 looks, a quarter."""
HALF_LIVES, TRANSITIONS = (7.0, 28.0, 112.0), 224.0
STRENGTHS = (30.0, 30.0)
WINDOW, TOP, BACK = 7, 5, 28
KINDS = (("static", 0.0), ("gradual", 1.0), ("abrupt", 1.0), ("abrupt", 0.5), ("seasonal", 1.0))


@dataclass(frozen=True)
class Judged:
    """Every transition judged by the counts of every earlier morning.

    Attributes:
        true_hit: (days, n) true probability of the first five of a morning's counts.
        hit, nll: (days, n) whether what happened was among them, and its nats.
    """

    world: World
    rows: Transitions
    first: NDArray[np.int64]
    true_hit: FloatArray
    hit: FloatArray
    nll: FloatArray

    def loss(self) -> FloatArray:
        """(days, days) true hits lost on each day with the counts of an earlier morning, against its own."""
        per_day = np.add.reduceat(self.true_hit.astype(np.float64), self.first[:-1], axis=1)
        lost = np.diagonal(per_day)[None, :] - per_day
        return np.asarray(np.triu(lost))


def judged(world: World) -> Judged:
    found = known_answers(world)
    rows = found.transitions
    recent = np.full((len(rows), RECENT), -1, np.int16)
    recent[:, -2:] = rows.recent
    rows = Transitions.on_days(rows.user, rows.day, recent, rows.successor, rows.known)
    models = daily_models(rows, world)
    weights = fitted(models, rows)
    true_hit, hit, nll = np.zeros((3, world.days, len(rows)), np.float32)
    for day in range(WARM, world.days):
        later = np.flatnonzero(rows.day >= day)
        part = rows.take(later)
        logp = counts.Scorer(models[day], weights).by_counts(part.recent, part.known)
        top = np.argpartition(-logp, TOP, axis=1)[:, :TOP]
        true_hit[day, later] = np.take_along_axis(found.truth[later], top, axis=1).sum(axis=1)
        hit[day, later] = (top == part.successor[:, None]).any(axis=1)
        nll[day, later] = -logp[np.arange(len(part)), part.successor]
    return Judged(world, rows, np.searchsorted(rows.day, np.arange(world.days + 1)), true_hit, hit, nll)


def daily_models(rows: Transitions, world: World) -> list[counts.CountModel]:
    """Counts before every morning, halved with time as in production."""
    size = world.themes
    popular, last = np.zeros((len(HALF_LIVES), size)), np.zeros((size, size))
    pair = np.zeros((size * size, size))
    keep = 0.5 ** (1 / np.array(HALF_LIVES))[:, None]
    kept, models = 0.5 ** (1 / TRANSITIONS), []
    names, nothing = np.arange(size, dtype=np.int16), np.zeros((size, 0), np.int16)
    for day in range(world.days):
        suffixes = [sums(last, size, 1), sums(pair, size, 2)]
        models.append(
            counts.CountModel.build([Sums(nothing, names, p) for p in popular], suffixes, size, STRENGTHS)
        )
        today = rows.take(rows.day == day)
        previous, before = today.recent[:, -2].astype(int), today.recent[:, -1].astype(int)
        for table, where in ((last, before), (pair, np.where(previous >= 0, previous * size + before, -1))):
            np.add.at(table, (where[where >= 0], today.successor[where >= 0]), 1.0)
            table *= kept
        popular = (popular + np.bincount(today.successor, minlength=size)) * keep
    return models


def sums(table: FloatArray, size: int, length: int) -> Sums:
    context, successor = np.nonzero(table > 1e-3)
    parts = [context // size, context % size][2 - length :]
    weight = np.asarray(table[context, successor], np.float64)
    return Sums(np.stack(parts, axis=1).astype(np.int16), successor.astype(np.int16), weight)


def fitted(models: Sequence[counts.CountModel], rows: Transitions) -> FloatArray:
    """Weights fitted on the three weeks before the first table."""
    held = []
    for start in range(WARM - 3 * WINDOW, WARM, WINDOW):
        week = rows.take((rows.day >= start) & (rows.day < start + WINDOW))
        held.append(counts.held_by_counts(models[start], week))
    return counts.fit(counts.feature_names(HALF_LIVES, 2), held).weights


def followed(found: Judged, policy: CadencePolicy, cost: float) -> list[int]:
    """Mornings on which a policy refreshes, the first table included."""
    refreshes, rows = [WARM], found.rows
    served: list[int] = []
    for day in range(WARM + 1, found.world.days):
        served.append(refreshes[-1])
        past = slice(found.first[max(0, refreshes[-1] - BACK)], found.first[day])
        signs = Signs(
            day,
            tuple(refreshes),
            WINDOW,
            rows.take(np.arange(past.start, past.stop)),
            float(found.first[day] - found.first[day - WINDOW]) / WINDOW,
            staleness(found, np.array(served), day) if policy.looks.staleness else Staleness.none(),
            cost,
        )
        if policy.decide(signs).refresh:
            refreshes.append(day)
    return refreshes


def staleness(found: Judged, served: NDArray[np.int64], day: int) -> Staleness:
    """What was seen since the first table, by the table that served and by that morning's counts."""
    at = np.arange(found.first[max(WARM, day - BACK)], found.first[day])
    on = found.rows.day[at]
    by = served[on - WARM]
    return Staleness(
        found.rows.user[at],
        on,
        (on - by).astype(np.int32),
        found.hit[by, at] > 0,
        found.hit[on, at] > 0,
        found.nll[by, at].astype(np.float64),
        found.nll[on, at].astype(np.float64),
    )


def oracle(loss: FloatArray, cost: float) -> list[int]:
    """Mornings on which refreshing is best, all losses known: dynamic programming from the end."""
    days = len(loss)
    best, follow = np.zeros(days + 1), np.full(days + 1, days)
    for made in range(days - 1, WARM - 1, -1):
        until = np.cumsum(loss[made, made:])  # losses if it serves to the end of each later day
        after = best[made + 1 :] + np.where(np.arange(made + 1, days + 1) < days, cost, 0.0)
        total = until + after
        best[made], follow[made] = total.min(), made + 1 + int(total.argmin())
    found = [WARM]
    while follow[found[-1]] < days:
        found.append(int(follow[found[-1]]))
    return found


def one_world(world: World, cost: float, only: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Figures of every policy in one world, or of some beside the oracle and the two that know no world."""
    found = judged(world)
    loss = found.loss()
    never, often = [WARM], list(range(WARM, world.days, 2))
    policies: dict[str, CadencePolicy] = {
        "every 7 days": Fixed(7),
        "every 28 days": Fixed(28),
        "drift": DriftTriggered(every=4),
        "cost": CostAware(1.0),
        "combined": Combined(1.0),
    }
    chosen = {"never": never, "every 2 days": often}
    chosen |= {
        name: followed(found, policy, cost) for name, policy in policies.items() if not only or name in only
    }
    chosen["oracle"] = oracle(loss, cost)
    least = lost(loss, chosen["oracle"]) + cost * (len(chosen["oracle"]) - 1)
    out = {}
    for name, refreshes in chosen.items():
        after = [day for day in refreshes if day > world.change_day]
        gain = lost(loss, never) - lost(loss, often)
        nats = nats_of(found, never) - nats_of(found, often)
        out[name] = {
            "refreshes": len(refreshes) - 1,
            "days": refreshes[1:],
            "delay": after[0] - world.change_day if after else None,
            "hit_at_5": true_hits(found, refreshes),
            "gain_kept": (lost(loss, never) - lost(loss, refreshes)) / gain,
            "nll_gain_kept": (nats_of(found, never) - nats_of(found, refreshes)) / nats,
            "regret": lost(loss, refreshes) + cost * (len(refreshes) - 1) - least,
        }
    return out


def in_use(days: int, refreshes: Sequence[int]) -> NDArray[np.int64]:
    """(days - WARM,) the table of each day."""
    made = np.array(refreshes)
    return np.asarray(made[np.searchsorted(made, np.arange(WARM, days), side="right") - 1])


def lost(loss: FloatArray, refreshes: Sequence[int]) -> float:
    return float(loss[in_use(len(loss), refreshes), np.arange(WARM, len(loss))].sum())


def nats_of(found: Judged, refreshes: Sequence[int]) -> float:
    return float(_by_use(found, found.nll, refreshes).sum())


def true_hits(found: Judged, refreshes: Sequence[int]) -> float:
    return float(_by_use(found, found.true_hit, refreshes).mean())


def _by_use(found: Judged, values: FloatArray, refreshes: Sequence[int]) -> FloatArray:
    at = np.arange(found.first[WARM], len(found.rows))
    return np.asarray(values[in_use(found.world.days, refreshes)[found.rows.day[at] - WARM], at], np.float64)


def pooled(worlds: Sequence[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Mean over seeds with a 95 % interval (Student's t), and the days of every seed."""
    out: dict[str, dict[str, Any]] = {}
    for name in worlds[0]:
        out[name] = {"days": [world[name]["days"] for world in worlds]}
        for figure in ("refreshes", "delay", "hit_at_5", "gain_kept", "nll_gain_kept", "regret"):
            values = [world[name][figure] for world in worlds if world[name][figure] is not None]
            out[name][figure] = interval(values) if values else None
    return out


def interval(values: Sequence[float]) -> dict[str, Any]:
    n, mean = len(values), float(np.mean(values))
    half = float(student.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else None
    most = {"least": min(values), "most": max(values)}
    return {"value": mean, "ci95": [mean - half, mean + half] if half is not None else None, **most, "n": n}


def main() -> None:
    options = arguments()
    result: dict[str, Any] = {
        "note": SIMULATED,
        "days": [WARM, DAYS],
        "change_day": CHANGE,
        "cost_in_hits": options.cost,
        "seeds": list(range(options.first_seed, options.first_seed + options.seeds)),
        "worlds": {},
    }
    for drift, size in KINDS[1:3] if options.quick else KINDS:
        found = []
        for seed in result["seeds"]:
            world = World(days=DAYS, change_day=CHANGE, drift=drift, drift_size=size, trends=0.0, seed=seed)
            world = replace(world, users=options.users)
            found.append(one_world(world, options.cost, options.policies))
        name = drift if size in (0.0, 1.0) else f"{drift}, size {size:g}"
        result["worlds"][name] = pooled(found)
    told = (readable(name, found) for name, found in result["worlds"].items())
    tell(options, result, lambda: "\n".join(told))


def readable(name: str, policies: dict[str, dict[str, Any]]) -> str:
    lines = [f"{name} (SIMULATED)"]
    for policy, figures in policies.items():
        parts = [f"  {policy:14s}"]
        for figure in ("refreshes", "delay", "hit_at_5", "gain_kept", "nll_gain_kept", "regret"):
            one = figures[figure]
            near = "" if one is None or one["ci95"] is None else f" +- {one['ci95'][1] - one['value']:.3g}"
            parts.append(f"{figure} " + ("-" if one is None else f"{one['value']:.4g}{near}"))
        lines.append(", ".join(parts))
    return "\n".join(lines)


def arguments() -> Namespace:
    made = parser(__doc__)
    made.add_argument("--seeds", type=int, default=6, help="worlds of each kind")
    made.add_argument("--first-seed", type=int, default=200, help="policies were tuned on seeds below 200")
    made.add_argument("--users", type=int, default=World().users, help="of a world")
    made.add_argument(
        "--policies", nargs="*", default=(), help="only these beside the oracle, such as: cost combined"
    )
    made.add_argument("--cost", type=float, default=10.0, help="of a refresh, in hits")
    return parse(made, seeds=1, users=80)


if __name__ == "__main__":
    main()
