"""Stage: contexts whose prompt changed -> ranked successors.

`plan` fingerprints every prompt, finds the rows that can be copied and foretells the cost of the others;
`run` infers these in committed, resumable chunks; `files` stores the answers. The planner itself is a port:
a faster engine replaces a backend, not this stage.
"""

from freshet.inference.files import read, write
from freshet.inference.plan import Plan, expected, fingerprints, make_plan
from freshet.inference.run import Outcome, is_whole, run

__all__ = ["Outcome", "Plan", "expected", "fingerprints", "is_whole", "make_plan", "read", "run", "write"]
