"""Stage: moves of new users that nothing else bears out are held back from counting.

`bounds` decides day by day what counts, `scan` takes a log through it, `held_back` is what was held back and
`format` keeps it. `step` gives the pipeline a log without it; the log itself keeps every event.
"""

from freshet.stages.screen.bounds import MATURE, PAIRS, Limits
from freshet.stages.screen.held_back import Burst, HeldBack
from freshet.stages.screen.scan import scan

__all__ = ["MATURE", "PAIRS", "Burst", "HeldBack", "Limits", "scan"]
