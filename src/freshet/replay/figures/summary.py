"""The result document of a replay, `replay.json`; every figure in it follows from the three frames."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pyarrow as pa

from freshet.replay.figures import curves, measures, spending, tables
from freshet.replay.figures.advice import recommend
from freshet.replay.figures.aligned import Judged, align
from freshet.replay.figures.choice import choose
from freshet.replay.figures.differences import MARGIN, compare, hit_at_5, not_below, pairs, reference
from freshet.replay.figures.measures import Measured
from freshet.replay.figures.resampled import DRAWS, Resampled

SCHEMA = 1
ORDER = (
    "hybrid-live",
    "hybrid",
    "hybrid-adaptive",
    "hybrid-cost",
    "hybrid-sequence",
    "hybrid-plain",
    "finetune-fresh",
    "finetune",
    "retrieval",
    "evidence-frozen",
    "no-evidence",
    "retrieval-alone",
    "evidence-frozen-alone",
    "no-evidence-alone",
    "retrieval-frozen",
    "static",
    "counts-live",
    "counts",
    "counts-sequence",
    "sequence",
    "last-successor",
    "popularity-live",
    "popularity",
)
"""Arms as documents list them; one with a cadence of its own (`hybrid@14d`) follows its family."""


def summarise(
    judged: pa.Table,
    states: pa.Table,
    costs: pa.Table,
    log: Mapping[str, Any],
    drift: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
    margin: float = MARGIN,
) -> dict[str, Any]:
    """The document of a replay.

    Args:
        judged, states, costs: the frames of docs/explanation/replay.md.
        log: `interests` (N), `from`, `to` (ISO days, `to` excluded), `every_days`, `tune_days`,
            `horizon_days`; `mixed` where the mixture of `hybrid` holds the sequence score;
            `planner`: what it is called; more keys, such as a name or a currency, are passed on.
        drift: what `freshet drift` found: `jaccard`, `null`, `z`, `n` and more; passed on.
        seed: of the resamples of users; the same seed gives the same document.
        margin: of non-inferiority in hit@5, as a share.

    Raises:
        NotEnoughData: nothing was judged.
        ArtifactError: two arms didn't judge the same transitions.
    """
    side = align(judged, int(log["interests"]))
    resampled = Resampled(side.starts, len(side), draws, seed)
    names = sorted(side.arms, key=_place)
    days = (date.fromisoformat(str(log["to"])) - date.fromisoformat(str(log["from"]))).days
    about = {**log, "n": len(side), "users": resampled.users, "days": days, "seed": seed, "draws": draws}
    measured = {arm: measures.measure(side, side.arms[arm], resampled) for arm in names}
    lines = {arm: tables.lines(states, arm) for arm in names}
    spent = spending.costs(costs, names, days)
    period = curves.period_days(side, int(log["every_days"]))
    arms = {
        arm: {
            **measures.figures(measured[arm]),
            "reliability": measures.reliability(side.arms[arm]),
            "by_day": curves.by_day(side, side.arms[arm], resampled, period),
            "by_age": curves.by_age(side, side.arms[arm], resampled),
            "table_age_days": curves.mean_age(side, side.arms[arm]),
            "model_age_days": tables.model_age(side, lines[arm]),
            "tables": tables.told(lines[arm]),
            "cost": spent[arm],
        }
        for arm in names
    }
    found = {f"{a}_vs_{b}": compare(measured[a], measured[b], margin) for a, b in pairs(names)}
    unit = spending.unit(spent)
    price = {arm: float(spent[arm][unit]) for arm in names}
    choice = choose(measured, price, len(side), margin)
    return {
        "schema": SCHEMA,
        "log": {**about, "period_days": period},
        "reference": reference(names),
        "arms": arms,
        "differences": found,
        "decay": _decay(side, resampled),
        "drift": dict(drift) if drift else None,
        "weights": {arm: held for arm in names if (held := tables.weights(lines[arm]))},
        "cost": {
            "unit": unit,
            "frontier": spending.frontier(spent, {arm: arms[arm]["hit_at_5"]["value"] for arm in names}),
            "against_finetuning": spending.against_finetuning(
                spent, {arm: arms[arm]["tables"] for arm in names}, _keeps_up(measured, margin)
            ),
            "adaptive": _adaptive(spent),
        },
        "recommendation": recommend(choice, arms, found, about, drift, margin),
    }


def _place(arm: str) -> tuple[int, int, str]:
    family, _, cadence = arm.partition("@")
    place = ORDER.index(family) if family in ORDER else len(ORDER)
    return place, int(cadence.removesuffix("d") or 0), arm


def _decay(side: Judged, resampled: Resampled) -> dict[str, Any]:
    """By arm whose tables grow old: what age costs against the arm of reference."""
    fresh = side.arms[reference(list(side.arms))]
    old = [arm for arm in ("static", "retrieval-frozen", "finetune") if arm in side.arms]
    return {arm: curves.decay(side, side.arms[arm], fresh, resampled) for arm in old}


def _keeps_up(measured: Mapping[str, Measured], margin: float) -> Any:
    return lambda arm, standard: not_below(
        hit_at_5(measured[arm], measured[standard]), margin, measured[arm].users
    )


def _adaptive(spent: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """What the adaptive cadence's refreshes after the first table cost, over those of the fixed one."""
    if not {"hybrid", "hybrid-adaptive"} <= set(spent):
        return None
    adaptive, fixed = spent["hybrid-adaptive"], spent["hybrid"]
    return {
        "refreshing": spending.ratio(adaptive["later_refreshing"], fixed["later_refreshing"]),
        "tuning": spending.ratio(adaptive["tuning"], fixed["tuning"]),
    }
