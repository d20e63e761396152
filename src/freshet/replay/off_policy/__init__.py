"""Replay of impressions: what another policy would have earned at the first place, by logged propensities.

`decisions` reads what was shown and what its users had engaged before; `players` answer as a release would
have then, `looking` lets them; `expecting` is a model of rewards; `estimating` puts them together. Nothing is
shown to anybody: an estimate holds as far as the logging policy explored what the other one would do.
"""

from freshet.replay.off_policy.estimating import Estimated, Found, Target, estimate

__all__ = ["Estimated", "Found", "Target", "estimate"]
