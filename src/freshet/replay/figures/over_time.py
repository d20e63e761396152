"""Arms over time: hit rates by day and by age of the table, what age costs, what became of the tables.

Tables change from origin to origin: refreshes, churn, evidence, weights, ages.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from freshet.core.time import day_name, day_number
from freshet.core.types import FloatArray
from freshet.replay.figures.aligned import NONE, Aligned, Ints, Scored
from freshet.replay.figures.arm_metrics import SHOWN, hits
from freshet.replay.figures.intervals import Resampled, estimate, ratio

DAYS_ONE_BY_ONE = 120
AGES = 10
"""Bins of a table's age, at most."""
Line = dict[str, Any]


def period_days(aligned: Aligned, every_days: int) -> int:
    """Length of a period of `by_day`: a day, or in long replays some whole refreshes."""
    span = int(aligned.day.max() - aligned.origin.min()) + 1
    if span <= DAYS_ONE_BY_ONE:
        return 1
    return every_days * -(-span // (DAYS_ONE_BY_ONE * every_days))


def by_day(aligned: Aligned, arm: Scored, resampled: Resampled, days: int) -> list[dict[str, Any]]:
    """hit@5 in periods of so many days from the first origin: `{from, n, hit_at_5}`; none is empty."""
    first = int(aligned.origin.min())
    period = (aligned.day - first) // days
    return [
        {"from": day_name(first + int(place) * days), **line}
        for place, line in _grouped(aligned, hits(arm.rank, 5), period, resampled)
    ]


def by_age(aligned: Aligned, arm: Scored, resampled: Resampled) -> list[dict[str, Any]]:
    """hit@5 by age of the arm's table: `{age, until, n, hit_at_5}`, ages in days, `until` included.

    Old tables are met late in the replay: read it beside `decay`, which compares on the same transitions.
    """
    age, width = _ages(aligned, arm)
    return [
        {"age": place * width, "until": place * width + width - 1, **line}
        for place, line in _grouped(aligned, hits(arm.rank, 5), age // width, resampled)
    ]


def decay(aligned: Aligned, arm: Scored, fresh: Scored, resampled: Resampled) -> list[dict[str, Any]]:
    """What age costs: the arm minus a fresher one on the same transitions, by age of the arm's table.

    Each line is `{age, until, n, hit_at_5, overlap}`; overlap is the mean Jaccard of the two top fives.
    """
    age, width = _ages(aligned, arm)
    loss = hits(arm.rank, 5).astype(float) - hits(fresh.rank, 5)
    same = dict(_grouped(aligned, overlap(arm.top[:, :SHOWN], fresh.top[:, :SHOWN]), age // width, resampled))
    return [
        {
            "age": place * width,
            "until": place * width + width - 1,
            **line,
            "overlap": same[place]["hit_at_5"],
        }
        for place, line in _grouped(aligned, loss, age // width, resampled)
    ]


def overlap(a: Ints, b: Ints) -> FloatArray:
    """(n,) Jaccard of two (n, 5) lists of interests; 1 where both are empty."""
    both = ((a[:, :, None] == b[:, None, :]) & (a != NONE)[:, :, None]).sum(axis=(1, 2))
    either = (a != NONE).sum(axis=1) + (b != NONE).sum(axis=1) - both
    return np.asarray(np.divide(both, either, out=np.ones(len(a)), where=either > 0))


def mean_age(aligned: Aligned, arm: Scored) -> float:
    """Mean age of the table that answered, in days."""
    return float((aligned.day - arm.made).mean())


def _ages(aligned: Aligned, arm: Scored) -> tuple[Ints, int]:
    """(n,) age in days, and the width of a bin."""
    age = aligned.day - arm.made
    return age, max(1, -(-int(age.max() + 1) // AGES))


def _grouped(
    aligned: Aligned, values: FloatArray, group: Ints, resampled: Resampled
) -> list[tuple[int, dict[str, Any]]]:
    """The mean within every group that has a transition."""
    groups = int(group.max()) + 1
    n = resampled.by_group(np.ones(len(aligned)), group, groups)
    mean = ratio(resampled.by_group(values, group, groups), n)
    return [
        (place, {"n": int(n[0, place]), "hit_at_5": estimate(mean[:, place])})
        for place in range(groups)
        if n[0, place]
    ]


def lines(states: pa.Table, arm: str) -> list[Line]:
    """The states of an arm, oldest origin first."""
    rows = states.filter(pc.equal(states["arm"].cast(pa.string()), arm)).to_pylist()
    return sorted(rows, key=lambda row: str(row["origin"]))


def table_summary(found: list[Line]) -> dict[str, Any]:
    """An arm's tables in figures; means over origins, None where nothing was measured.

    `churn` beside `floor`: share of the top 5 replaced from one table to the next, and what resampling the
    same people replaces. `bare_equal`: contexts whose first choice is the one without
    evidence. `copies`: contexts whose first choice is the evidence's first.
    """
    made = [row for row in found if row["refreshed"]]
    rows, changed = (sum(int(row[key] or 0) for row in made) for key in ("rows", "changed"))
    return {
        "origins": len(found),
        "refreshes": sum(bool(row["refreshed"]) for row in found),
        "tunings": sum(bool(row["tuned"]) for row in found),
        "changed_share": changed / rows if rows else None,
        **{key: mean(found, key) for key in ("churn", "floor", "bare_equal", "copies")},
        "churn_by_origin": [
            {"origin": str(row["origin"]), "churn": row["churn"], "floor": row["floor"]}
            for row in found
            if present(row["churn"])
        ],
    }


def weights(found: list[Line]) -> dict[str, Any] | None:
    """The planner's fitted weight over time; None where the arm has none.

    `above_zero` is the share of origins at which its 95 % interval lay above zero.
    """
    there = [row for row in found if present(row["weight_planner"])]
    if not there:
        return None
    return {
        "planner": float(np.mean([row["weight_planner"] for row in there])),
        "above_zero": float(np.mean([present(row["weight_low"]) and row["weight_low"] > 0 for row in there])),
        "by_origin": [
            {
                "origin": str(row["origin"]),
                "weight": row["weight_planner"],
                "low": row["weight_low"],
                "high": row["weight_high"],
            }
            for row in there
        ],
    }


def model_age(aligned: Aligned, found: list[Line]) -> float | None:
    """Mean age in days, over transitions, of the weights in use; None where nothing was ever tuned."""
    tuned = np.array([day_number(row["origin"]) for row in found if row["tuned"]])
    if not len(tuned):
        return None
    place = np.searchsorted(tuned, aligned.origin, side="right") - 1
    inside = place >= 0
    return float((aligned.day[inside] - tuned[place[inside]]).mean()) if inside.any() else None


def mean(found: list[Line], key: str) -> float | None:
    """Mean of a column over the origins that have it."""
    values = [row[key] for row in found if present(row[key])]
    return float(np.mean(values)) if values else None


def present(value: float | None) -> bool:
    """Neither null nor NaN."""
    return value is not None and not np.isnan(value)
