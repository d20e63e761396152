"""Deletes what nothing needs any more: `freshet gc`.

reachable   which releases stay, and the artifacts that they, runs and experiments need
collecting  what else goes, and how it is deleted
"""

from freshet.cleanup.collecting import RELEASES, STUDY_DAYS, Collected, collect_garbage, collect_when_due
from freshet.cleanup.reachable import Kept, keep

__all__ = ["RELEASES", "STUDY_DAYS", "Collected", "Kept", "collect_garbage", "collect_when_due", "keep"]
