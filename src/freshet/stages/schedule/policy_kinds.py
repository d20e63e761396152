"""Policies by their names in `[schedule]`."""

from __future__ import annotations

from typing import Literal

from freshet.core.ports import CadencePolicy
from freshet.stages.schedule.cadence_policies import CostAware, Fixed
from freshet.stages.schedule.combined_policy import Combined
from freshet.stages.schedule.drift_policy import DriftTriggered

Kind = Literal["fixed", "drift", "cost", "combined"]


def policy(kind: Kind, refresh_days: int, alpha: float, hit_value: float) -> CadencePolicy:
    """A policy by its name in `[schedule]`.

    `drift` refreshes at most half as often on average as `fixed` would with the same `refresh_days`.
    `combined` spends on every look what `drift` saves for looks that a finding earns: both find nothing more
    often than `alpha / (1 - earned)` times per look on average.
    """
    drift = DriftTriggered(alpha=alpha, every=2.0 * refresh_days)
    if kind == "drift":
        return drift
    if kind == "combined":
        return Combined(hit_value, alpha=min(1.0, alpha / (1 - drift.earned)))
    return CostAware(hit_value) if kind == "cost" else Fixed(refresh_days)
