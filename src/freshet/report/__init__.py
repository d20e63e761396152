"""What happened, as self-contained HTML pages: no scripts, no network, nothing to install.

`workspace_page` writes the page about a workspace: `subject` opens what it is about, a module for each
section gathers its facts, and `templates/workspace.html` words them. `replay_page`, `experiment_page` and
`drift_page` write the pages of a replay (and of `freshet cadence`), of an experiment and of drift from the
documents that those commands answer. `charts` draws, `formatting` formats numbers.
"""

from freshet.report.replay_page import write_cadence, write_replay
from freshet.report.workspace_page import write_report

__all__ = ["write_cadence", "write_replay", "write_report"]
