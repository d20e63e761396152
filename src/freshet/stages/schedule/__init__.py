"""Stage: on which days the fast path is due, and how much successors change beyond chance.

Policies see the past alone (`types.Signs`) and answer whether to refresh (`ports.CadencePolicy`): `fixed`
every so many days; `cost` when waiting costs more than refreshing (`cadence_policies`); `drift` when what
people move on to differs beyond chance from before the last refresh (`drift_policy`, by `drift_test`).

`log_drift` describes a whole log by comparisons of two windows (`successor_overlap`). The overlap of two top
lists says nothing by itself: with few counts, two samples of one unchanging world overlap little. So every
overlap stands beside its null: the same figure after users' blocks of transitions are dealt out between the
two windows anew, which is what the log could equally have been without drift.
"""

from typing import Literal

from freshet.core.ports import CadencePolicy
from freshet.stages.schedule.cadence_policies import CostAware, Fixed
from freshet.stages.schedule.drift_policy import DriftTriggered

Kind = Literal["fixed", "drift", "cost"]


def policy(kind: Kind, refresh_days: int, alpha: float, hit_value: float) -> CadencePolicy:
    """A policy by its name in `[schedule]`.

    `drift` refreshes at most half as often on average as `fixed` would with the same `refresh_days`.
    """
    if kind == "drift":
        return DriftTriggered(alpha=alpha, every=2.0 * refresh_days)
    return CostAware(hit_value) if kind == "cost" else Fixed(refresh_days)


__all__ = ["CostAware", "DriftTriggered", "Fixed", "Kind", "policy"]
