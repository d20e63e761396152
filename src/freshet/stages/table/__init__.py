"""Stage: fuse planner and count scores into rows, verify them, read them.

`contexts` lists the rows; `build` fuses scores and writes memory-mapped arrays; `verify` decides whether a
table may be published; `format` looks rows up, never empty (context -> last interest -> popular), and opens
the scores behind them.
"""

from freshet.stages.table.build import build
from freshet.stages.table.contexts import enumerate_contexts
from freshet.stages.table.eligibility import Rules
from freshet.stages.table.format import Row, Table, churn
from freshet.stages.table.verify import Check, verify

__all__ = ["Check", "Row", "Rules", "Table", "build", "churn", "enumerate_contexts", "verify"]
