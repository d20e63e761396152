"""Stage: engagements -> novel successors -> transitions, one day at a time.

`counting` brings the transitions up to date with the log, and can leave some users out. `engagements` turns
days of events into (user, time, interest) rows; `recount` finds whom an import touched; `spill` takes rows
from days to users and back, out of core; `walk` finds novel successors and the context before each step;
`day_files` keeps immutable files, which `format` lists. `transition_log` reads a finished artifact: held-out
examples, sums with half-lives (`decayed_sums`), supports in a window; `monthly` takes one in
order. `established` says since when a user has a past.
"""

from typing import TYPE_CHECKING

from freshet.core.late import late

if TYPE_CHECKING:
    from freshet.stages.transitions.counting import Earlier, Kept, Parted, count, without
    from freshet.stages.transitions.day_files import intact
    from freshet.stages.transitions.engagements import reassigned
    from freshet.stages.transitions.established import Established
    from freshet.stages.transitions.format import count_of, referenced
    from freshet.stages.transitions.transition_log import TransitionLog
else:
    __getattr__ = late(__name__)

__all__ = [
    "Earlier",
    "Established",
    "Kept",
    "Parted",
    "TransitionLog",
    "count",
    "count_of",
    "intact",
    "reassigned",
    "referenced",
    "without",
]
