"""What a crash, a failing disk or a hand can leave in a workspace: found, explained, repaired.

`finding` what a finding says · `leftovers` of runs that died · `artifacts` and the pool of counted days ·
`log` the events · `state` what serving remembers · `access` who may read all that · `releases` what serves ·
`visit` runs them all, and repairs under the lease.
"""

from freshet.doctor.finding import Finding
from freshet.doctor.visit import Result, examine, visit

__all__ = ["Finding", "Result", "examine", "visit"]
