"""Replay: which update strategy pays on this log, how often, and at what cost.

The production steps run as of moments in the past (origins). Between two origins every arm, one strategy of
keeping a table fresh, ranks what people really took up next; nothing after an origin reaches what ranks.

`plan` origins and arms · `arms` the strategies · `roll` from origin to origin · `strategy` what an arm makes
there · `ranking` how it ranks then · `judge` ranks and likelihoods of what came next · `baselines` popularity
and raw successors · `costs` what artifacts cost, from the ledger · `drifted` how much the log itself drifts ·
`frames` and `results` the columns of what is written · `figures` what they say.
"""

from freshet.replay.arms import ARMS, Able, Arm
from freshet.replay.drifted import drift_before_the_end
from freshet.replay.origins import roll
from freshet.replay.replay_plan import Plan, make_plan

__all__ = ["ARMS", "Able", "Arm", "Plan", "drift_before_the_end", "make_plan", "roll"]
