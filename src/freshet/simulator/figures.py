"""Figures of a SIMULATED experiment: what was seen, with intervals, beside what was true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from freshet.experiments import Moments, effect
from freshet.simulator.offers import Offers
from freshet.simulator.sampling import Floats, Ints
from freshet.simulator.slot import OUTCOMES, TAKEN

LOWER_IS_BETTER = ("negative", "dissatisfied", "regret")
_DISLIKED = OUTCOMES.index("disliked")


def per_offer(offers: Offers) -> dict[str, Floats]:
    """(n,) what each offer adds to a figure.

    satisfied: it was completed or liked. negative: it was disliked. expected, expected_negative: the true
    chances of these. regret: how much higher the chance of a satisfied outcome was with the best theme.
    """
    return {
        "satisfied": TAKEN[offers.outcome].astype(np.float64),
        "negative": (offers.outcome == _DISLIKED).astype(np.float64),
        "expected": offers.expected,
        "regret": offers.best - offers.expected,
        "expected_negative": offers.disliked,
    }


def figures(offers: Offers, arms: Sequence[str], days: int) -> dict[str, Any]:
    """Everything about every arm, and every other arm's effect against the first."""
    adds = per_offer(offers)
    found: dict[str, Any] = {}
    for place, name in enumerate(arms):
        rows = offers.arm == place
        n = int(rows.sum())
        users = len(np.unique(offers.user[rows]))
        asked = offers.survey[rows][offers.survey[rows] > 0]
        found[name] = {
            "users": users,
            "impressions": n,
            "explored": _mean(offers.explored[rows]),
            "surveys": len(asked),
            "survey_mean": _mean(asked),
            "per_user": {key: float(value[rows].sum()) / max(1, users) for key, value in adds.items()},
            "per_impression": {key: _mean(value[rows]) for key, value in adds.items()},
            "best_per_impression": _mean(offers.best[rows]),
            "by_day": _by_day(offers, rows, adds, days),
        }
        if place:
            found[name]["effect"] = {key: _effect(offers, value, place) for key, value in adds.items()}
    return found


def moments(offers: Offers, value: Floats, arm: int, per: str = "user") -> Moments:
    """Moments over the users of an arm; `per` impression gives the ratio to their number of impressions."""
    rows = offers.arm == arm
    _, user = np.unique(offers.user[rows], return_inverse=True)
    total, shown = np.bincount(user, value[rows]), np.bincount(user)
    return Moments.of(np.column_stack([total, np.ones(len(shown)) if per == "user" else shown]))


def _effect(offers: Offers, value: Floats, arm: int) -> dict[str, Any]:
    """Relative effect on the sum per user and on the share of impressions, 95 % intervals by user."""
    told = {}
    for per in ("user", "impression"):
        found = effect(moments(offers, value, 0, per), moments(offers, value, arm, per))
        told[f"per_{per}"] = {
            "relative": found.relative.value,
            "low": found.relative.low,
            "high": found.relative.high,
            "p": found.p,
        }
    return told


def _by_day(offers: Offers, rows: Ints, adds: dict[str, Floats], days: int) -> list[dict[str, Any]]:
    found = []
    for day in range(1, days + 1):
        today = rows & (offers.day == day)
        means = {key: _mean(value[today]) for key, value in adds.items()}
        found.append({"day": day, "impressions": int(today.sum()), **means})
    return found


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None
