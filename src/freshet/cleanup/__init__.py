"""Deletes what nothing needs any more: `freshet gc`.

reachable   which releases stay, and the artifacts that they, runs and experiments need
collecting  what else goes, and how it is deleted
"""

from freshet.cleanup.collecting import Collected, collect_garbage
from freshet.cleanup.reachable import Kept, keep

__all__ = ["Collected", "Kept", "collect_garbage", "keep"]
