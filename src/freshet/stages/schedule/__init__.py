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

from typing import TYPE_CHECKING

from freshet.core.late import late

if TYPE_CHECKING:
    from freshet.stages.schedule.cadence_policies import CostAware, Fixed
    from freshet.stages.schedule.combined_policy import Combined
    from freshet.stages.schedule.drift_policy import DriftTriggered
    from freshet.stages.schedule.policy_kinds import Kind, policy
else:
    __getattr__ = late(__name__)

__all__ = ["Combined", "CostAware", "DriftTriggered", "Fixed", "Kind", "policy"]
