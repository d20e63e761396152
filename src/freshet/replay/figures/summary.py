"""The result document of a replay, `replay.json`; every figure in it follows from its frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from freshet.replay.figures import arm_costs, arm_metrics, over_time
from freshet.replay.figures.arm_metrics import Replayed
from freshet.replay.figures.comparisons import MARGIN, choose, compare, hit_at_5, not_below, pairs, reference
from freshet.replay.figures.groups import Groups
from freshet.replay.figures.intervals import DRAWS
from freshet.replay.figures.knowledge_sources import by_group, sources
from freshet.replay.figures.own_cadence import own_days
from freshet.replay.figures.recommendation import recommend
from freshet.replay.figures.scarcity import Share, scarcity

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
    "content",
    "content-sequence",
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
    circumstances: pa.Table | None = None,
    shares: Sequence[Share] = (),
    *,
    seed: int = 0,
    draws: int = DRAWS,
    margin: float = MARGIN,
) -> dict[str, Any]:
    """The document of a replay.

    Args:
        judged, states, costs: the frames of docs/explanation/replay.md.
        log: `interests` (N), `from`, `to` (ISO days, `to` excluded), `every_days`, `tune_days`,
            `horizon_days`; `mixed` and `content` where the mixture of `hybrid` holds the sequence score, and
            content; `planner`: what it is called; more keys, such as a name or a currency, are passed on.
        circumstances: as `frames` describes; without it nothing is said of groups.
        shares: replays of the same people by what was learned from a part of the users.
        drift: what `freshet drift` found: `jaccard`, `null`, `z`, `n` and more; passed on.
        seed: of the resamples of users; the same seed gives the same document.
        margin: of non-inferiority in hit@5, as a share.

    Raises:
        NotEnoughData: nothing was evaluated.
        ArtifactError: two arms didn't rank the same transitions.
    """
    found = Replayed.of(judged, costs, log, _ordered, seed, draws, circumstances)
    known = sources(found.arms, log)
    told = by_group(known, found.arms, found.groups)
    curve = scarcity(shares, log, _ordered, seed=seed, draws=draws) if shares else None
    names = list(found.arms)
    period = over_time.period_days(found.aligned, int(log["every_days"]))
    lines = {arm: over_time.lines(states, arm) for arm in names}
    arms = {arm: _arm(found, arm, lines[arm], period) for arm in names}
    differences = {
        f"{a}_vs_{b}": compare(found.arms[a], found.arms[b], found.groups, margin) for a, b in pairs(names)
    }
    unit = arm_costs.unit(found.costs)
    price = {arm: float(found.costs[arm][unit]) for arm in names}
    choice = choose(found.arms, price, len(found.aligned), margin)
    return {
        "schema": SCHEMA,
        "log": {**found.log, "period_days": period},
        "reference": reference(names),
        "arms": arms,
        "differences": differences,
        "decay": _decay(found),
        "drift": dict(drift) if drift else None,
        "weights": {arm: held for arm in names if (held := over_time.weights(lines[arm]))},
        "cost": _cost(found, arms, unit, margin),
        "groups": _groups(found.groups),
        **({"shares": curve["shares"]} if curve else {}),
        "recommendation": recommend(choice, arms, differences, found.log, drift, margin, told, curve),
    }


def _groups(groups: Mapping[str, Groups]) -> dict[str, Any]:
    """By division and group: `n` transitions, `users` behind them, and `words` for it."""
    return {
        name: {
            key: {**line, "words": words}
            for (key, line), words in zip(one.lines({}).items(), one.division.words, strict=True)
        }
        for name, one in groups.items()
    }


def _arm(found: Replayed, arm: str, lines: list[over_time.Line], period: int) -> dict[str, Any]:
    """Everything the document says of one arm."""
    aligned, resampled, scored = found.aligned, found.resampled, found.aligned.arms[arm]
    return {
        **arm_metrics.figures(found.arms[arm], found.groups),
        "reliability": arm_metrics.reliability(scored),
        "by_day": over_time.by_day(aligned, scored, resampled, period),
        "by_age": over_time.by_age(aligned, scored, resampled),
        "table_age_days": over_time.mean_age(aligned, scored),
        "model_age_days": over_time.model_age(aligned, lines),
        "tables": over_time.table_summary(lines),
        "cost": found.costs[arm],
    }


def _cost(found: Replayed, arms: Mapping[str, Mapping[str, Any]], unit: str, margin: float) -> dict[str, Any]:
    """What arms cost beside each other, and what hit rate they buy."""

    def keeps_up(arm: str, standard: str) -> bool:
        ahead = hit_at_5(found.arms[arm], found.arms[standard])
        return not_below(ahead, margin, found.arms[arm].users)

    hits = {arm: arms[arm]["hit_at_5"]["value"] for arm in arms}
    tables = {arm: arms[arm]["tables"] for arm in arms}
    return {
        "unit": unit,
        "frontier": arm_costs.frontier(found.costs, hits),
        "against_finetuning": arm_costs.against_finetuning(found.costs, tables, keeps_up),
        "adaptive": _adaptive(found.costs),
    }


def _ordered(arms: Sequence[str]) -> list[str]:
    return sorted(arms, key=_place)


def _place(arm: str) -> tuple[int, int, str]:
    family = arm.split("@")[0]
    place = ORDER.index(family) if family in ORDER else len(ORDER)
    return place, own_days(arm) or 0, arm


def _decay(found: Replayed) -> dict[str, Any]:
    """By arm whose tables grow old: what age costs against the arm of reference."""
    aligned = found.aligned
    fresh = aligned.arms[reference(list(aligned.arms))]
    old = [arm for arm in ("static", "retrieval-frozen", "finetune") if arm in aligned.arms]
    return {arm: over_time.decay(aligned, aligned.arms[arm], fresh, found.resampled) for arm in old}


def _adaptive(spent: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """What the adaptive cadence's refreshes after the first table cost, over those of the fixed one."""
    if not {"hybrid", "hybrid-adaptive"} <= set(spent):
        return None
    adaptive, fixed = spent["hybrid-adaptive"], spent["hybrid"]
    return {
        "refreshing": arm_costs.ratio(adaptive["later_refreshing"], fixed["later_refreshing"]),
        "tuning": arm_costs.ratio(adaptive["tuning"], fixed["tuning"]),
    }
