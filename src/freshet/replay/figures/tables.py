"""What became of each arm's tables from origin to origin: refreshes, churn, evidence, weights, ages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from freshet.core.time import day_number
from freshet.replay.figures.aligned import Judged

Line = dict[str, Any]


def lines(states: pa.Table, arm: str) -> list[Line]:
    """The states of an arm, oldest origin first."""
    rows = states.filter(pc.equal(states["arm"].cast(pa.string()), arm)).to_pylist()
    return sorted(rows, key=lambda row: str(row["origin"]))


def told(found: list[Line]) -> dict[str, Any]:
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


def model_age(judged: Judged, found: list[Line]) -> float | None:
    """Mean age in days, over transitions, of the weights in use; None where nothing was ever tuned."""
    tuned = np.array([day_number(row["origin"]) for row in found if row["tuned"]])
    if not len(tuned):
        return None
    place = np.searchsorted(tuned, judged.origin, side="right") - 1
    inside = place >= 0
    return float((judged.day[inside] - tuned[place[inside]]).mean()) if inside.any() else None


def mean(found: list[Line], key: str) -> float | None:
    """Mean of a column over the origins that have it."""
    values = [row[key] for row in found if present(row[key])]
    return float(np.mean(values)) if values else None


def present(value: float | None) -> bool:
    """Neither null nor NaN."""
    return value is not None and not np.isnan(value)
