"""The figures of one arm, on the log and on every resample. Definitions: docs/explanation/replay.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from freshet.core.types import FloatArray
from freshet.replay.figures import arm_costs
from freshet.replay.figures.aligned import NONE, Aligned, Scored, align
from freshet.replay.figures.groups import Groups, divide, within
from freshet.replay.figures.intervals import Drawn, Resampled, estimate, ratio, reflected

LENGTHS = (0, 1, 2)
WITH_CONTEXT = 1 + len(LENGTHS)
"""Column of figures over transitions of people with at least one recent interest."""
SHOWN = 5
"""Successors whose exposure is measured."""
BINS = 15
"""Equal-mass bins of calibration (the usual number: Guo et al. 2017)."""

OF_RANKS = ("hit_at_1", "hit_at_5", "hit_at_10", "hit_any_at_5", "nll")
OF_PLANNER = ("hit_at_1", "hit_at_5", "hit_at_10", "nll")


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One arm's figures as draws.

    Attributes:
        ranks: by name, (1 + draws, 5): all transitions, those of context length 0, 1 and 2, and those of 1
            and 2 together.
        planner: the same of the planner's own score, on the transitions where the planner ranked.
        shares: novelty, popularity_bias, bare_equal, copies: (1 + draws,).
        exposure: ece, coverage, entropy, entropy_share: (1 + draws,).
        with_planner: transitions with a planner's score.
        users: people behind the figures.
        within: by division and figure, (1 + draws, groups).
    """

    ranks: Mapping[str, Drawn]
    planner: Mapping[str, Drawn]
    shares: Mapping[str, Drawn]
    exposure: Mapping[str, Drawn]
    with_planner: int
    users: int
    within: Mapping[str, Mapping[str, Drawn]]


def popularity(aligned: Aligned) -> FloatArray:
    """(N,) each interest's share of all take-ups of the evaluated period, half a take-up added to each.

    It is the same for every arm and looks at the whole period: a yardstick, which no arm may use.
    """
    counts = np.bincount(aligned.successor, minlength=aligned.interests) + 0.5
    return np.asarray(counts / counts.sum())


def measure(aligned: Aligned, arm: Scored, resampled: Resampled, groups: Mapping[str, Groups]) -> Measured:
    """All figures of an arm, also within the groups of each division."""
    share = popularity(aligned)
    with_planner = arm.planner_rank != NONE
    compared = (arm.bare_top1 != NONE) & (arm.planner_top1 != NONE)
    evidenced = (arm.evidence_top1 != NONE) & (arm.planner_top1 != NONE)
    shown = arm.top[:, :SHOWN]
    there = shown != NONE
    columns = {
        "n": np.ones(len(aligned)),
        **{name: hits(arm.rank, k) for name, k in (("hit_at_1", 1), ("hit_at_5", 5), ("hit_at_10", 10))},
        "hit_any_at_5": hits(arm.rank_any, 5),
        "nll": arm.nll,
        "asked": with_planner,
        **{f"planner_hit_at_{k}": with_planner & (arm.planner_rank < k) for k in (1, 5, 10)},
        "planner_nll": np.where(with_planner, arm.planner_nll, 0.0),
        "slots": there.sum(axis=1),
        "surprise": np.where(there, -np.log2(share)[shown], 0.0).sum(axis=1),
        "shown_share": np.where(there, share[shown], 0.0).sum(axis=1),
        "taken_share": share[aligned.successor],
        "compared": compared,
        "equal": compared & (arm.bare_top1 == arm.planner_top1),
        "evidenced": evidenced,
        "copied": evidenced & (arm.evidence_top1 == arm.planner_top1),
    }
    total = _totals(aligned, resampled, columns)
    first = {name: total[name][:, 0] for name in total}
    return Measured(
        {name: ratio(total[name], total["n"]) for name in OF_RANKS},
        {name: ratio(total[f"planner_{name}"], total["asked"]) for name in OF_PLANNER},
        {
            "novelty": ratio(first["surprise"], first["slots"]),
            "popularity_bias": ratio(first["shown_share"], first["slots"])
            / ratio(first["taken_share"], first["n"]),
            "bare_equal": ratio(first["equal"], first["compared"]),
            "copies": ratio(first["copied"], first["evidenced"]),
        },
        {**_exposure(aligned, arm, resampled), "ece": _calibration_error(aligned, arm, resampled)},
        int(with_planner.sum()),
        resampled.users,
        {
            name: within(one, {"hit_at_5": columns["hit_at_5"], "nll": arm.nll}, resampled)
            for name, one in groups.items()
        },
    )


def hits(rank: FloatArray | Any, k: int) -> Any:
    """(n,) whether the successor was among the first k; a missing rank is a miss."""
    return (rank != NONE) & (rank < k)


def figures(found: Measured, groups: Mapping[str, Groups]) -> dict[str, Any]:
    """The document of an arm's figures, each `{value, ci95}`."""
    result: dict[str, Any] = {name: estimate(drawn[:, 0]) for name, drawn in found.ranks.items()}
    result |= {name: reflected(found.exposure[name]) for name in ("ece", "entropy")}
    result |= {name: reflected(found.exposure[name], most=1.0) for name in ("coverage", "entropy_share")}
    result |= {name: estimate(found.shares[name]) for name in ("novelty", "popularity_bias")}
    result["with_context"] = {name: estimate(found.ranks[name][:, WITH_CONTEXT]) for name in OF_RANKS}
    result["planner"] = planner(found)
    result["by_length"] = {
        str(length): {name: estimate(found.ranks[name][:, 1 + length]) for name in OF_RANKS}
        for length in LENGTHS
    }
    return result | {name: one.lines(found.within[name]) for name, one in groups.items()}


def planner(found: Measured) -> dict[str, Any] | None:
    """The planner's own score, without counts; None where the arm has no planner."""
    if not found.with_planner:
        return None
    result: dict[str, Any] = {"n": found.with_planner}
    result |= {name: estimate(drawn[:, 0]) for name, drawn in found.planner.items()}
    result |= {name: estimate(found.shares[name]) for name in ("bare_equal", "copies")}
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """The frames of a replay, measured.

    Attributes:
        aligned: the evaluated transitions, arms side by side.
        days: length of the replay.
        log: what the caller says of the log, with `n`, `users`, `days`, `seed` and `draws`.
        arms: figures by arm, in the given order.
        costs: by arm; see `arm_costs.costs`.
        groups: of the transitions, by division; empty where the circumstances are not at hand.
    """

    aligned: Aligned
    resampled: Resampled
    days: int
    log: dict[str, Any]
    arms: dict[str, Measured]
    costs: dict[str, dict[str, Any]]
    groups: dict[str, Groups]

    @classmethod
    def of(
        cls,
        evaluated: pa.Table,
        costs: pa.Table,
        log: Mapping[str, Any],
        order: Callable[[Sequence[str]], list[str]],
        seed: int,
        draws: int,
        circumstances: pa.Table | None = None,
    ) -> Replayed:
        """Measure frames whose arms stand in some order.

        Raises:
            NotEnoughData: nothing was evaluated.
            ArtifactError: two arms didn't rank the same transitions.
        """
        aligned = align(evaluated, int(log["interests"]))
        resampled = Resampled(aligned.starts, len(aligned), draws, seed)
        names = order(list(aligned.arms))
        days = (date.fromisoformat(str(log["to"])) - date.fromisoformat(str(log["from"]))).days
        sizes = {"n": len(aligned), "users": resampled.users, "days": days, "seed": seed, "draws": draws}
        divisions = divide(aligned, circumstances) if circumstances is not None else {}
        groups = {name: Groups.of(aligned, one, resampled) for name, one in divisions.items()}
        arms = {arm: measure(aligned, aligned.arms[arm], resampled, groups) for arm in names}
        spent = arm_costs.costs(costs, names, days)
        return cls(aligned, resampled, days, {**log, **sizes}, arms, spent, groups)


def reliability(arm: Scored) -> list[dict[str, float]]:
    """Calibration of the first choice: n, mean predicted probability (`said`) and share right of each bin."""
    place, bins = _bins(arm)
    n = np.bincount(place, minlength=bins)
    predicted = np.bincount(place, arm.p_top, minlength=bins)
    right = np.bincount(place, hits(arm.rank, 1), minlength=bins)
    return [
        {"n": int(n[b]), "said": float(predicted[b] / n[b]), "right": float(right[b] / n[b])}
        for b in range(bins)
        if n[b]
    ]


def _totals(aligned: Aligned, resampled: Resampled, columns: Mapping[str, Any]) -> dict[str, Drawn]:
    """By name, (1 + draws, 5): over all transitions, by context length, and over those with a context."""
    values = np.stack([np.asarray(column, np.float64) for column in columns.values()], axis=1)
    parts = [resampled.totals(values * (aligned.length == length)[:, None]) for length in LENGTHS]
    total = np.stack([np.sum(parts, axis=0), *parts, np.sum(parts[1:], axis=0)], axis=2)
    return {name: total[:, place] for place, name in enumerate(columns)}


def _bins(arm: Scored) -> tuple[Any, int]:
    """(n,) bin of every first choice by its probability, and how many there are; ties share a bin."""
    edges = np.unique(np.quantile(arm.p_top, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.searchsorted(edges, arm.p_top, side="right"), len(edges) + 1


def _calibration_error(aligned: Aligned, arm: Scored, resampled: Resampled) -> Drawn:
    """Expected calibration error of the first choice; bins are those of the log in every resample."""
    place, bins = _bins(arm)
    gap = resampled.by_group(arm.p_top - hits(arm.rank, 1), place, bins)  # (1 + draws, bins)
    n = resampled.by_group(np.ones(len(aligned)), place, bins)
    return ratio(np.abs(gap).sum(axis=1), n.sum(axis=1))


def _exposure(aligned: Aligned, arm: Scored, resampled: Resampled) -> dict[str, Drawn]:
    """Coverage and entropy of what the top 5 show."""
    top = arm.top[:, :SHOWN]
    shown = resampled.by_group(np.ones(top.shape), top, aligned.interests)  # (1 + draws, N)
    part = ratio(shown, shown.sum(axis=1, keepdims=True))
    entropy = -(part * np.log2(np.where(part > 0, part, 1.0))).sum(axis=1)
    return {
        "coverage": np.mean(shown > 0, axis=1),
        "entropy": entropy,
        "entropy_share": entropy / np.log2(max(aligned.interests, 2)),
    }
