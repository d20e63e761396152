"""Stage: fuse planner and count scores into rows, verify them, read them.

`table_plan` is all that decides a table's bytes, `contexts` its rows, `eligibility` what may be offered;
`build` writes it, `verify` checks it, `churn_gate` halts on too large a change, `format` reads it.
"""

from typing import TYPE_CHECKING

from freshet.core.late import late
from freshet.stages.table.build import build
from freshet.stages.table.verify import Check, verify

if TYPE_CHECKING:
    from freshet.stages.table.contexts import enumerate_contexts
    from freshet.stages.table.eligibility import Rules
    from freshet.stages.table.format import Row, Table, churn
else:
    __getattr__ = late(__name__)

__all__ = ["Check", "Row", "Rules", "Table", "build", "churn", "enumerate_contexts", "verify"]
