"""Replay: which update strategy pays on this log, how often, and at what cost.

The production steps run as of moments in the past (origins). Between two origins every arm, one strategy of
keeping a table fresh, ranks what people really took up next; nothing after an origin reaches what ranks.

`plan` origins and arms · `arms` the strategies · `roll` from origin to origin · `strategy` what an arm makes
there · `ranking` how it ranks then · `judge` ranks and likelihoods of what came next · `baselines` popularity
and raw successors · `costs` what artifacts cost, from the ledger · `frames` the columns of what is written.
"""

from freshet.replay.arms import ARMS, Able, Arm
from freshet.replay.plan import Plan, make_plan
from freshet.replay.roll import roll

__all__ = ["ARMS", "Able", "Arm", "Plan", "make_plan", "roll"]
