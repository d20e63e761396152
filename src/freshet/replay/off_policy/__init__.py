"""Replay of impressions: what another policy would have earned at the first place, by logged propensities.

`decisions` reads what was shown and what its users had engaged before; `players` answer as a release would
have then, `ways` says which may be asked (none that knows what came later), `looking` asks; `reproducing`
says how well the log comes out again; `expecting` is a model of rewards; `estimating` puts them together.
Nothing is shown to anybody: an estimate holds as far as the logging policy explored what the other would do.
"""

from freshet.replay.off_policy.counterfactual import Reproduced
from freshet.replay.off_policy.policies import Target
from freshet.replay.off_policy.policy_values import Estimated, Found, estimate

__all__ = ["Estimated", "Found", "Reproduced", "Target", "estimate"]
