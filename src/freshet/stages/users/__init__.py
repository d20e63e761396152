"""Stage: users active lately, asked about with their own recent interests -> a row for each.

A table holds rows of pairs; a user is answered by the average over theirs. Here the planner reads what one
user engaged last, all of it, and its answer is kept for that user (asynchronously refreshed personas,
arXiv 2606.12198). `expected_gain` says who is asked first, `weighing` what rows are worth on held-out
windows, `format` stores them. Serving looks for a user's row first; where they have none, or have engaged
something since, the release answers as it would without.
"""

from typing import TYPE_CHECKING

from freshet.core.late import late
from freshet.stages.users.expected_gain import expected_gain

if TYPE_CHECKING:
    from freshet.stages.users.format import read, read_calibration, write
else:
    __getattr__ = late(__name__)

__all__ = ["expected_gain", "read", "read_calibration", "write"]
