"""Stage: how much successors change with time, beside what chance alone would change.

The overlap of two top lists says nothing by itself: with few counts, two samples of one unchanging world
overlap little. So every overlap stands beside its null: the same figure after users' blocks of transitions
are dealt out between the two windows anew, which is what the log could equally have been without drift.

`overlap` compares two windows; `summary` a whole log: month over month, by distance, and what moved most.
"""

from freshet.stages.schedule.drift.log_drift import Mover, drift_of, month_edges
from freshet.stages.schedule.drift.overlap import Moves, Overlap, overlap, overlaps, pooled

__all__ = ["Mover", "Moves", "Overlap", "drift_of", "month_edges", "overlap", "overlaps", "pooled"]
