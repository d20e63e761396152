"""SIMULATED frames of a replay, in which every arm's skill is chosen.

Each arm finds the successor among its first five with the probability given; arms share their luck, as real
arms that rank the same transitions do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from freshet.replay.frames import CIRCUMSTANCES, COSTS, JUDGED, STATES

INTERESTS = 40
START = date(2024, 1, 1)
PLANNED = {
    "hybrid",
    "hybrid-adaptive",
    "hybrid-sequence",
    "static",
    "finetune",
    "retrieval",
    "retrieval-frozen",
    "no-evidence",
    "finetune-fresh",
}


@dataclass(frozen=True)
class Frames:
    """The three frames and what `summarise` wants to know of the log."""

    judged: pa.Table
    states: pa.Table
    costs: pa.Table
    log: dict[str, object]
    circumstances: pa.Table | None = None


def frames(
    skill: Mapping[str, float],
    *,
    transitions: int = 3000,
    users: int = 400,
    every: int = 2,
    days: int = 30,
    tune: int = 10,
    decay: float = 0.0,
    seed: int = 0,
    cold: Mapping[str, float] | None = None,
) -> Frames:
    """A replay of arms with the given chance of a hit among the first five.

    Args:
        decay: lost chance per day of a table's age.
        cold: by arm, nats that it gains where nobody had been in a person's context.
    """
    rng = np.random.default_rng(seed)
    day = np.sort(rng.integers(days, size=transitions))
    user = rng.integers(users, size=transitions)
    taste = rng.normal(0, 0.1, users)[user]
    successor = (rng.beta(1, 3, transitions) * INTERESTS).astype(int)
    length = rng.integers(3, size=transitions)
    luck = rng.random(transitions)
    known = _circumstances(day, every, user, seed)
    unmet = pc.fill_null(pc.equal(known["support"], 0), False).to_numpy()
    parts = []
    for arm, chance in skill.items():
        made = made_days(arm, every, tune, day)
        wins = luck + rng.normal(0, 0.02, transitions) < chance + taste - decay * (day - made)
        part = _judged(arm, day, made, every, user, length, successor, wins, rng)
        if cold and arm in cold:
            nll = pa.array(part["nll"].to_numpy() - cold[arm] * unmet, pa.float32())
            part = part.set_column(part.column_names.index("nll"), "nll", nll)
        parts.append(part)
    origins = range(0, days, every)
    return Frames(
        pa.concat_tables(parts),
        pa.Table.from_pylist([_state(arm, o, every, tune, rng) for arm in skill for o in origins], STATES),
        pa.Table.from_pylist(
            [line for arm in skill for o in origins for line in _costs(arm, o, every, tune)], COSTS
        ),
        {
            "name": "simulated",
            "simulated": True,
            "interests": INTERESTS,
            "from": str(START),
            "to": str(START + timedelta(days)),
            "every_days": every,
            "tune_days": tune,
            "horizon_days": 7,
            "currency": "USD",
        },
        known,
    )


def _circumstances(day: np.ndarray, every: int, user: np.ndarray, seed: int) -> pa.Table:
    """Of each transition, drawn apart from all else: support, age of the newest item, engagements."""
    rng = np.random.default_rng([seed, 1])
    n = len(day)
    support = rng.choice([-1, 0, 4, 40, 400], n, p=[0.2, 0.2, 0.2, 0.2, 0.2])
    age = rng.exponential(40, n)
    origin = day // every * every
    columns = {
        "origin": [START + timedelta(int(d)) for d in origin],
        "row": _numbers(origin),
        "support": pa.array(support, mask=support < 0),
        "item_age": pa.array(age, mask=rng.random(n) < 0.02),
        "engagements": (user * 7919) % 160,
    }
    return pa.table({name: pa.array(columns[name]) for name in columns}).cast(CIRCUMSTANCES)


def _numbers(origin: np.ndarray) -> np.ndarray:
    """(n,) the number of each transition after its origin."""
    row = np.zeros(len(origin), int)
    for one in np.unique(origin):
        row[origin == one] = np.arange((origin == one).sum())
    return row


def made_days(arm: str, every: int, tune: int, day: np.ndarray) -> np.ndarray:
    """Day of the table in use."""
    if arm in ("static", "retrieval-frozen"):
        return np.zeros_like(day)
    length = tune if arm == "finetune" else int(arm.split("@")[1][:-1]) if "@" in arm else every
    return day // length * length


def _judged(arm, day, made, every, user, length, successor, wins, rng) -> pa.Table:
    n = len(day)
    rank = np.where(wins, rng.integers(5, size=n), 5 + rng.integers(INTERESTS - 15, size=n))
    tops = []
    for answer, place in zip(successor, rank, strict=True):
        others = [one for one in rng.permutation(INTERESTS)[:11] if one != answer][:10]
        if place < 10:
            others[place] = answer
        tops.append(others)
    planned = arm.split("@")[0] in PLANNED
    origin = day // every * every
    best = np.array([top[0] for top in tops])
    columns = {
        "arm": [arm] * n,
        "origin": [START + timedelta(int(d)) for d in origin],
        "made": [START + timedelta(int(d)) for d in made],
        "row": _numbers(origin),
        "user": user,
        "day": [START + timedelta(int(d)) for d in day],
        "length": length,
        "recent": [[0, 1]] * n,
        "successor": successor,
        "candidates": [INTERESTS] * n,
        "rank": rank,
        "nll": np.where(wins, 2.0, 4.0) + rng.normal(0, 0.1, n),
        "rank_any": np.maximum(rank - 1, 0),
        "top": tops,
        "p_top": rng.uniform(0.02, 0.3, n),
        "planner_rank": rank + 1 if planned else [None] * n,
        "planner_nll": np.full(n, 3.5) if planned else [None] * n,
        "planner_top1": best if planned else [None] * n,
        "evidence_top1": np.where(rng.random(n) < 0.3, best, 0) if planned else [None] * n,
        "bare_top1": np.where(rng.random(n) < 0.4, best, INTERESTS - 1) if planned else [None] * n,
    }
    return pa.table({name: pa.array(columns[name], JUDGED.field(name).type) for name in JUDGED.names})


def _state(arm: str, origin: int, every: int, tune: int, rng: np.random.Generator) -> dict[str, object]:
    planned = arm.split("@")[0] in PLANNED
    frozen = arm in ("static", "retrieval-frozen")
    refreshed = origin == int(made_days(arm, every, tune, np.array([origin]))[0]) and (
        origin == 0 or not frozen
    )
    retunes = arm.split("@")[0] not in ("static", "retrieval", "retrieval-frozen", "no-evidence")
    tuned = planned and (origin == 0 or (retunes and origin % tune == 0))
    weight = 0.3 + 0.05 * rng.random()
    return {
        "arm": arm,
        "origin": START + timedelta(origin),
        "made": START + timedelta(int(made_days(arm, every, tune, np.array([origin]))[0])),
        "table": f"t{origin}" if planned else "",
        "model": f"m{origin // tune}" if planned else "",
        "refreshed": refreshed,
        "tuned": tuned,
        "rows": 1600,
        "changed": 1600 if origin == 0 else 200 if refreshed else 0,
        "churn": 0.2 + 0.1 * rng.random() if planned and refreshed and origin else None,
        "floor": 0.15 if planned and refreshed and origin else None,
        "bare_equal": 0.4 if planned else None,
        "copies": 0.3 if planned else None,
        "weight_planner": weight if planned else None,
        "weight_low": weight - 0.1 if planned else None,
        "weight_high": weight + 0.1 if planned else None,
        "statistic": None,
        "why": "",
    }


def _costs(arm: str, origin: int, every: int, tune: int) -> list[dict[str, object]]:
    state = _state(arm, origin, every, tune, np.random.default_rng(0))
    steps: Sequence[tuple[str, float]] = [
        *([("tuning", 60.0)] if state["tuned"] else []),
        *([("inference", 0.01 * state["changed"])] if state["refreshed"] and state["table"] else []),
        *([("table", 0.5)] if state["refreshed"] else []),
    ]
    return [
        {
            "arm": arm,
            "origin": state["origin"],
            "step": step,
            "tokens": int(1000 * seconds),
            "flops": 1e9 * seconds,
            "seconds": seconds,
            "money": seconds / 3600,
        }
        for step, seconds in steps
    ]
