"""Stage: engagements -> novel successors -> transitions, one day at a time.

`engagements` turns days of events into (user, time, interest) rows; `walk` finds novel successors and the
context before each step; `spill` takes rows from days to users and back, out of core; `days` counts again
what an import touched; `apart` leaves
some users out; `pool` keeps one immutable file per day; `log` answers questions about a finished
artifact: held-out examples, sums with half-lives (`decay`), window supports.
"""

from freshet.stages.transitions.day_files import intact
from freshet.stages.transitions.days import Earlier, count, referenced
from freshet.stages.transitions.engagements import reassigned
from freshet.stages.transitions.leave_out import without
from freshet.stages.transitions.transition_log import TransitionLog

__all__ = ["Earlier", "TransitionLog", "count", "intact", "reassigned", "referenced", "without"]
