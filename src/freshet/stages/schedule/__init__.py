"""Stage: on which days the fast path is due, and how much successors change beyond chance.

Policies see the past alone (`types.Signs`) and answer whether to refresh (`ports.CadencePolicy`): `fixed`
every so many days; `cost` when waiting costs more than refreshing (`cadence_policies`); `drift` when what
people move on to differs beyond chance from before the last refresh (`drift_policy`, by `drift_test`);
`combined` by cost, with abrupt changes that the test finds counted as losses (`combined_policy`).

`log_drift` describes a whole log by comparisons of two windows (`successor_overlap`). The overlap of two top
lists says nothing by itself: with few counts, two samples of one unchanging world overlap little. So every
overlap stands beside its null: the same figure after users' blocks of transitions are dealt out between the
two windows anew, which is what the log could equally have been without drift.
"""

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


__all__ = ["Combined", "CostAware", "DriftTriggered", "Fixed", "Kind", "policy"]
