"""The page of `freshet drift`: how fast successors change on a log, beside the no-drift null."""

from freshet.report.drifted.page import said, write_drift

__all__ = ["said", "write_drift"]
