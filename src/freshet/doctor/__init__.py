"""What a crash, a failing disk or a hand can leave in a workspace: found, explained, repaired.

`workspace_check` runs all checks, and repairs under the lease; `finding` is what each of them gives.
`artifact_checks` looks at what was made and at releases, `source_checks` at what can't be made again: events,
experiments, user histories; `leftover_checks` at remains of runs that died and at who may read the files.
"""

from freshet.doctor.finding import Finding
from freshet.doctor.workspace_check import Result, check, findings

__all__ = ["Finding", "Result", "check", "findings"]
