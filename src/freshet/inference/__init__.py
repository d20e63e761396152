"""Stage: contexts whose prompt changed -> ranked successors.

`plan` fingerprints every prompt and finds the rows that can be copied; `run` infers the rest in committed,
resumable chunks; `files` stores the answers. The planner itself is a port: a faster engine replaces a
backend, not this stage.
"""

from freshet.inference.files import read, write
from freshet.inference.plan import Plan, fingerprint, make_plan
from freshet.inference.run import Outcome, run

__all__ = ["Outcome", "Plan", "fingerprint", "make_plan", "read", "run", "write"]
