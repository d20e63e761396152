"""What happened in a workspace, as one self-contained HTML page: no scripts, no network, nothing to install.

`page` writes it; `subject` opens what it is about; each section has a module that gathers its facts
(`answer`, `drivers`, `clusters`, `movement`, `refreshes`, `judged`, `examples`, `log`, `origins`), and
`page.html` words them. `charts` draws, `words` formats numbers. `replayed` is the page of a replay.
"""

from freshet.report.page import write_report
from freshet.report.replayed import write_replay, write_schedule

__all__ = ["write_replay", "write_report", "write_schedule"]
