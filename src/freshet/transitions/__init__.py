"""Stage: engagements -> novel successors -> transitions, one day at a time.

`engagements` turns a day of events into (user, time, interest) rows; `walk` finds novel successors and the
context before each step; `days` keeps one immutable file per day and recounts only what an import touched;
`log` answers questions about a finished artifact: held-out examples, sums with half-lives, window supports.
"""

from freshet.transitions.check import intact, referenced
from freshet.transitions.days import count
from freshet.transitions.log import TransitionLog

__all__ = ["TransitionLog", "count", "intact", "referenced"]
