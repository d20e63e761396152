"""Replay: which update strategy pays on this log, how often, and at what cost.

The production steps run as of moments in the past (origins). Between two origins every arm, one strategy of
keeping a table fresh, ranks what people really took up next; nothing after an origin reaches what ranks.

`replay_plan`: origins and arms. `replay_arms`: the strategies. `rolling_origin`: from one origin to the next.
`arm_state`: what an arm makes there; `learned_from`: from how much. `arm_scores`, `live_arms`, `baselines`:
how it ranks then. `evaluate`: ranks and likelihoods of what came next. `circumstances`: what was known when
it came. `ledger_costs`: what artifacts cost. `drifted`: how much the log itself drifts. `frames`: the columns
of what is written. `figures`: metrics, comparisons and a recommendation computed from them.
"""

from freshet.replay.drifted import drift_before_the_end
from freshet.replay.replay_arms import ARMS, Able, Arm
from freshet.replay.replay_plan import Plan, make_plan
from freshet.replay.rolling_origin import roll

__all__ = ["ARMS", "Able", "Arm", "Plan", "drift_before_the_end", "make_plan", "roll"]
