"""What each arm cost, and what one costs beside another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa

UNITS = ("tokens", "flops", "seconds", "money")
SLOW = ("tuning", "gates", "sequence")
"""Steps of the slow path; every other step belongs to the fast one."""

Cost = dict[str, float]


def costs(frame: pa.Table, arms: Iterable[str], days: int) -> dict[str, dict[str, Any]]:
    """By arm: its cost over the whole replay, its parts, and per 30 days.

    The first tuning and the first table are within, spread over the replay: a short replay makes a strategy
    that starts dear look dearer per day than it will be. `later_tuning` and `later_refreshing` came after the
    first origin.
    """
    rows = frame.to_pylist()
    return {arm: _of([row for row in rows if row["arm"] == arm], days) for arm in arms}


def _of(rows: list[dict[str, Any]], days: int) -> dict[str, Any]:
    first = min((str(row["origin"]) for row in rows), default="")
    later = [row for row in rows if str(row["origin"]) != first]
    whole = total(rows)
    return {
        **whole,
        "tuning": total(row for row in rows if row["step"] in SLOW),
        "refreshing": total(row for row in rows if row["step"] not in SLOW),
        "later_tuning": total(row for row in later if row["step"] in SLOW),
        "later_refreshing": total(row for row in later if row["step"] not in SLOW),
        "by_step": {step: total(row for row in rows if row["step"] == step) for step in _steps(rows)},
        "per_30_days": {unit: value * 30 / days for unit, value in whole.items()},
    }


def total(rows: Iterable[Mapping[str, Any]]) -> Cost:
    """`{tokens, flops, seconds, money}` summed."""
    held = list(rows)
    return {unit: float(sum(row[unit] or 0 for row in held)) for unit in UNITS}


def ratio(above: Mapping[str, float], below: Mapping[str, float]) -> dict[str, float | None]:
    """Unit by unit; None where the second cost nothing."""
    return {unit: above[unit] / below[unit] if below[unit] else None for unit in UNITS}


def unit(spent: Mapping[str, Mapping[str, float]]) -> str:
    """What costs are compared in: money, or seconds where the price book gives none."""
    return "money" if any(cost["money"] > 0 for cost in spent.values()) else "seconds"


def against_finetuning(
    spent: Mapping[str, Mapping[str, Any]],
    tables: Mapping[str, Mapping[str, Any]],
    not_below: Callable[[str, str], bool],
) -> dict[str, Any] | None:
    """What `hybrid` costs beside `finetune`, in three ways; None unless both were replayed.

    Args:
        not_below: whether the first arm's hit@5 is non-inferior to the second's.

    Returns:
        `finetune_that_keeps_up`: the cheapest replayed cadence of `finetune` non-inferior to `hybrid`.
        `hybrid_that_keeps_up`: the cheapest replayed cadence of `hybrid` non-inferior to `finetune`.
        Either may be None. `retuning_at_every_refresh`: computed, not run: `finetune`'s cost of one tuning
        with its table, times the refreshes of `hybrid`. Each with `ratio`, hybrid over finetune.
    """
    if not {"hybrid", "finetune"} <= set(spent):
        return None
    by = unit(spent)

    def cheapest(family: str, standard: str) -> str | None:
        keep_up = [arm for arm in spent if arm.split("@")[0] in family.split() and not_below(arm, standard)]
        return min(keep_up, key=lambda arm: float(spent[arm][by]), default=None)

    finetune = cheapest("finetune", "hybrid")
    hybrid = cheapest("hybrid hybrid-adaptive hybrid-cost", "finetune")
    tunings, refreshes = tables["finetune"]["tunings"], tables["hybrid"]["refreshes"]
    times = refreshes / tunings if tunings else 0.0
    often = {name: spent["finetune"][name] * times for name in UNITS}
    return {
        "unit": by,
        "finetune_that_keeps_up": finetune
        and {"arm": finetune, "ratio": ratio(spent["hybrid"], spent[finetune])},
        "hybrid_that_keeps_up": hybrid and {"arm": hybrid, "ratio": ratio(spent[hybrid], spent["finetune"])},
        "retuning_at_every_refresh": {
            "computed": True,
            "tunings": refreshes,
            "cost": often,
            "ratio": ratio(spent["hybrid"], often),
        },
    }


def frontier(spent: Mapping[str, Mapping[str, Any]], hit_at_5: Mapping[str, float]) -> list[str]:
    """Arms that no other arm beats in hit@5 at the same cost or less, cheapest first."""
    by = unit(spent)
    order = sorted(spent, key=lambda arm: (float(spent[arm][by]), -hit_at_5[arm]))
    found: list[str] = []
    for arm in order:
        if not found or hit_at_5[arm] > hit_at_5[found[-1]]:
            found.append(arm)
    return found


def _steps(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(str(row["step"]) for row in rows))
