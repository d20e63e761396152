"""Stage: experiments. Who is shown what, and what the difference is worth.

`assignment` says which arm a user belongs to. The rest are pure functions of users' sums: `Moments` are all
that is kept of an arm's users; `effect` compares two of them, `always_valid` gives an interval that holds
however often one looks, `holm` takes several metrics together, `sample_ratio` says whether to read them;
`plan` says how long an experiment takes, and `ips` and its sisters what logged propensities say without one.
"""

from freshet.experiments.assignment import OwnEvents, arm_of, arms_of
from freshet.experiments.effects import Effect, Estimate, effect, ratio
from freshet.experiments.families import SampleRatio, holm, sample_ratio
from freshet.experiments.moments import Moments
from freshet.experiments.off_policy import Logged, OffPolicy, Support, doubly_robust, ips, self_normalised
from freshet.experiments.planning import (
    Baseline,
    Design,
    Plan,
    Span,
    detectable,
    detectable_by,
    plan,
    power,
    users_needed,
)
from freshet.experiments.resampling import bootstrap
from freshet.experiments.sequential import always_valid, always_valid_p, boundary, mixing

__all__ = [
    "Baseline",
    "Design",
    "Effect",
    "Estimate",
    "Logged",
    "Moments",
    "OffPolicy",
    "OwnEvents",
    "Plan",
    "SampleRatio",
    "Span",
    "Support",
    "always_valid",
    "always_valid_p",
    "arm_of",
    "arms_of",
    "bootstrap",
    "boundary",
    "detectable",
    "detectable_by",
    "doubly_robust",
    "effect",
    "holm",
    "ips",
    "mixing",
    "plan",
    "power",
    "ratio",
    "sample_ratio",
    "self_normalised",
    "users_needed",
]
