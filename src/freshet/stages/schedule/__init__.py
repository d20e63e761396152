"""Stage: on which days the fast path is due.

Policies see the past alone (`types.Signs`) and answer whether to refresh (`ports.CadencePolicy`): `fixed`
every so many days; `drift` when what people move on to differs beyond chance from before the last refresh,
by the test in `surprise`; `cost` when waiting costs more than refreshing.
"""

from typing import Literal

from freshet.core.ports import CadencePolicy
from freshet.stages.schedule.cost_policy import CostAware
from freshet.stages.schedule.drift_policy import DriftTriggered
from freshet.stages.schedule.fixed_policy import Fixed

Kind = Literal["fixed", "drift", "cost"]


def policy(kind: Kind, refresh_days: int, alpha: float, hit_value: float) -> CadencePolicy:
    """A policy by its name in `[schedule]`.

    `drift` refreshes at most half as often on average as `fixed` would with the same `refresh_days`.
    """
    if kind == "drift":
        return DriftTriggered(alpha=alpha, every=2.0 * refresh_days)
    return CostAware(hit_value) if kind == "cost" else Fixed(refresh_days)


__all__ = ["CostAware", "DriftTriggered", "Fixed", "Kind", "policy"]
