"""Stage: experiments. Who is shown what, and what the difference is worth.

`assignment` says which arm a user belongs to. The rest are pure functions of users' sums: `Moments` are all
that is kept of an arm's users; `effect` compares two of them, `always_valid` gives an interval that holds
however often one looks, `holm` takes several metrics together, `sample_ratio` says whether to read them.
"""

from freshet.experiments.assignment import OwnEvents, arm_of, arms_of
from freshet.experiments.effects import Effect, Estimate, effect, ratio
from freshet.experiments.families import SampleRatio, holm, sample_ratio, simultaneous
from freshet.experiments.moments import Moments
from freshet.experiments.sequential import always_valid, always_valid_p, mixing

__all__ = [
    "Effect",
    "Estimate",
    "Moments",
    "OwnEvents",
    "SampleRatio",
    "always_valid",
    "always_valid_p",
    "arm_of",
    "arms_of",
    "effect",
    "holm",
    "mixing",
    "ratio",
    "sample_ratio",
    "simultaneous",
]
