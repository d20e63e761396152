"""Stage: experiments. Who is shown what, and what the difference is worth.

`assignment` says which arm a user belongs to.
"""

from freshet.experiments.assignment import OwnEvents, arm_of, arms_of

__all__ = ["OwnEvents", "arm_of", "arms_of"]
