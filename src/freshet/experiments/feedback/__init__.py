"""Stage: what reactions say of proposals: lifts per (context, successor), to choose the best of n.

After "User Feedback Alignment" (arXiv 2504.05522), which chooses among n proposals of the planner by what
people did with such proposals before. `lifts` counts outcomes and shrinks them; `weighing` finds how much,
and what they are worth beside the score, on later outcomes (by `logistic`); `proposals` re-orders; `files`
keeps it.
"""

from freshet.experiments.feedback.calibration import Settings, Weighed, weigh
from freshet.experiments.feedback.format import read, write
from freshet.experiments.feedback.lifts import Lifts
from freshet.experiments.feedback.proposals import Feedback

__all__ = ["Feedback", "Lifts", "Settings", "Weighed", "read", "weigh", "write"]
