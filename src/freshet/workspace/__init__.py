"""The workspace: a folder with `freshet.toml`, an artifact store, the ledger of runs, and releases.

`space` opens it; `ledger` records what every run did and cost; `lease` keeps two runs from writing at once;
`releases` numbers published tables and moves `CURRENT`.
"""

from freshet.workspace.ledger import Ledger, Record, Reporter, Run, StepRecord
from freshet.workspace.releases import Release, Releases
from freshet.workspace.space import Workspace, version_of

__all__ = [
    "Ledger",
    "Record",
    "Release",
    "Releases",
    "Reporter",
    "Run",
    "StepRecord",
    "Workspace",
    "version_of",
]
