"""Stage: contexts whose prompt changed -> ranked successors (bulk inference; paper, section 3.2).

`plan` fingerprints every prompt, finds the rows that can be copied and estimates the cost of the others;
`execute` infers these in committed, resumable chunks; `sampling` chooses the users of held-out windows that a
planner is asked about; `format` stores the answers. The planner itself is a port: a faster engine replaces a
backend, not this stage.
"""

from typing import TYPE_CHECKING

from freshet.core.late import late

if TYPE_CHECKING:
    from freshet.stages.inference.execute import Outcome, is_whole, run
    from freshet.stages.inference.format import read, write
    from freshet.stages.inference.plan import WIDTH, Plan, chunks, expected, fingerprints, make_plan
else:
    __getattr__ = late(__name__)

__all__ = [
    "WIDTH",
    "Outcome",
    "Plan",
    "chunks",
    "expected",
    "fingerprints",
    "is_whole",
    "make_plan",
    "read",
    "run",
    "write",
]
