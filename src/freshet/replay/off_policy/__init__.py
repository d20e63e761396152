"""Off-policy estimates: what another policy would have earned at the first place, by logged propensities.

`logged_decisions` reads what was shown and what its users had engaged before; `policies` says how each
decision was made and how another policy would have made it (none that knows what came later);
`counterfactual` computes what they would have shown; `reward_model` predicts rewards; `policy_values` puts
them together. Nothing is shown to anybody: an estimate holds as far as the logging policy explored what the
other would show.
"""

from freshet.replay.off_policy.counterfactual import Reproduced
from freshet.replay.off_policy.policies import Target
from freshet.replay.off_policy.policy_values import Estimated, Found, estimate

__all__ = ["Estimated", "Found", "Reproduced", "Target", "estimate"]
