"""Which schedule to run: the cheapest that is not shown to lose hit rate against the freshest.

A schedule is one strategy at a cadence: `hybrid` at several, when drift is found, when staleness costs more,
by both, or only with tuning (`finetune`); without a planner, `counts` at several cadences, by both, or never
again (`static`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from freshet.replay.figures import arm_costs, over_time
from freshet.replay.figures.arm_metrics import Measured, Replayed
from freshet.replay.figures.comparisons import MARGIN, hit_at_5, not_below, verdict
from freshet.replay.figures.intervals import DRAWS, estimate
from freshet.replay.figures.own_cadence import own_days, own_policy
from freshet.replay.figures.schedule_text import headline, reasons, settings

SCHEMA = 1
FAMILIES = {
    "hybrid": ("hybrid", "hybrid-adaptive", "hybrid-cost", "finetune"),
    "counts": ("counts", "static"),
}
"""By the freshest schedule: the strategies that differ from it in their cadence."""
PLAIN = "counts"
"""What a planner's schedules are compared with besides."""

Ruling = Literal["shown", "untold", "freshest"]
Line = dict[str, Any]


def wanted(arm: str, freshest: str) -> bool:
    """Whether an arm says something about the schedules around the freshest one."""
    return arm.split("@")[0] in FAMILIES[freshest] or arm == PLAIN


def schedule(
    judged: pa.Table,
    states: pa.Table,
    costs: pa.Table,
    log: Mapping[str, Any],
    *,
    seed: int = 0,
    draws: int = DRAWS,
    margin: float = MARGIN,
) -> dict[str, Any]:
    """The document of a recommended schedule, from the frames of a replay that holds `hybrid` or `counts`.

    Args:
        log: `interests` (N), `from`, `to` (ISO days, `to` excluded), `every_days`, `tune_days`; more keys,
            such as a name or a currency, are passed on.
        margin: how much lower hit@5 may be than the freshest schedule's, as a share.

    Returns:
        `log`, `schedule` (`arm`, `policy`, `refresh_days`, `tune_days`, `toml`), `headline`, `text`,
        `ruling`, `freshest`, `margin`, `unit` of what is cheap, `schedules` (a line each, the cheapest first)
        and `counts` (plain counts beside the schedule; None where they are the schedule).
        `ruling`: `shown` = it is non-inferior to the freshest; `untold` = no schedule can be told from
        another, so the cheapest; `freshest` = some are worse, and no cheaper one is shown to keep up.

    Raises:
        NotEnoughData: nothing was evaluated.
    """
    arms = judged["arm"].cast(pa.string())
    present = arms.unique().to_pylist()
    freshest = "hybrid" if "hybrid" in present else "counts"
    names = [arm for arm in present if wanted(arm, freshest)]
    evaluated = judged.filter(pc.is_in(arms, pa.array(names)))
    measured = Replayed.of(evaluated, costs, log, lambda _: names, seed, draws)
    family = [arm for arm in names if arm.split("@")[0] in FAMILIES[freshest]]
    unit = arm_costs.unit({arm: measured.costs[arm] for arm in family})
    lines = [_line(measured, states, arm, freshest, margin) for arm in family]
    lines.sort(key=lambda line: (line["cost"]["all"][unit], -line["hit_at_5"]["value"]))
    chosen, ruling = choose(lines, freshest)
    found = {
        "schema": SCHEMA,
        "log": measured.log,
        "ruling": ruling,
        "freshest": freshest,
        "margin": margin,
        "unit": unit,
        "schedules": [{**line, "chosen": line is chosen} for line in lines],
        "counts": _plain(measured, chosen["arm"], margin) if freshest != PLAIN and PLAIN in names else None,
    }
    recommended = {key: chosen[key] for key in ("arm", "policy", "refresh_days", "tune_days")}
    opening = headline(chosen)
    return {
        **found,
        "schedule": {**recommended, "toml": settings(chosen)},
        "headline": opening,
        "text": [opening, *reasons(found, chosen)],
    }


def _line(measured: Replayed, states: pa.Table, arm: str, freshest: str, margin: float) -> Line:
    """What one schedule gives and costs, beside the freshest."""
    aligned = measured.aligned
    return {
        **cadence(arm, measured.log),
        **_beside(measured.arms[arm], measured.arms[freshest], margin),
        **_made(over_time.lines(states, arm), measured.days),
        "table_age_days": over_time.mean_age(aligned, aligned.arms[arm]),
        "cost": _per_30_days(measured.costs[arm], measured.days),
    }


def choose(lines: list[Line], freshest: str) -> tuple[Line, Ruling]:
    """The schedule to run, of lines with the cheapest first.

    The cheapest that is non-inferior to the freshest, which is so to itself. If that is the freshest, dearer
    than others, and no interval leaves zero, no two differ: then the cheapest of all.
    """
    first = next(line for line in lines if line["arm"] == freshest or line["keeps_up"])
    cheaper = lines[: lines.index(first)]
    if first["arm"] != freshest or not cheaper:
        return first, "shown"
    if all(line["verdict"] in ("same", "unclear") for line in lines):
        return lines[0], "untold"
    return first, "freshest"


def cadence(arm: str, log: Mapping[str, Any]) -> Line:
    """What an arm is as a schedule: `{arm, policy, refresh_days, tune_days}`; no tuning without a planner."""
    family = arm.split("@")[0]
    policy = own_policy(arm) or {"hybrid-adaptive": "drift", "hybrid-cost": "cost"}.get(family, "fixed")
    every = {"finetune": log["tune_days"], "static": log["days"]}.get(family, log["every_days"])
    days = own_days(arm) or int(every)
    tune = None if family in FAMILIES["counts"] else int(log["tune_days"])
    return {"arm": arm, "policy": policy, "refresh_days": days, "tune_days": tune}


def _beside(arm: Measured, freshest: Measured, margin: float) -> Line:
    ahead = hit_at_5(arm, freshest)
    return {
        "hit_at_5": estimate(arm.ranks["hit_at_5"][:, 0]),
        "difference": ahead,
        "verdict": "same" if arm is freshest else verdict(ahead, margin, arm.users),
        "keeps_up": arm is freshest or not_below(ahead, margin, arm.users),
    }


def _made(states: list[Line], days: int) -> Line:
    tables = over_time.table_summary(states)
    refreshes = tables["refreshes"]
    return {
        "refreshes": refreshes,
        "tunings": tables["tunings"],
        "mean_days": days / refreshes if refreshes else None,
    }


def _plain(measured: Replayed, chosen: str, margin: float) -> Line:
    """Plain counts beside the chosen schedule."""
    counts = measured.arms[PLAIN]
    ahead = hit_at_5(counts, measured.arms[chosen])
    return {
        "hit_at_5": estimate(counts.ranks["hit_at_5"][:, 0]),
        "difference": ahead,
        "as_good": not_below(ahead, margin, counts.users),
        "verdict": verdict(ahead, margin, counts.users),
        "cost": _per_30_days(measured.costs[PLAIN], measured.days),
    }


def _per_30_days(spent: Mapping[str, Any], days: int) -> Line:
    """`all`, `refreshing` and `tuning`, each `{tokens, flops, seconds, money}` per 30 days."""
    parts = {"all": spent, "refreshing": spent["refreshing"], "tuning": spent["tuning"]}
    return {part: {unit: cost[unit] * 30 / days for unit in arm_costs.UNITS} for part, cost in parts.items()}
