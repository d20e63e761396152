"""What a replay found, as one self-contained HTML page in the manner of the workspace's own.

`page` writes it from the document `replay.json` alone; `lines` are its tables, `curves`, `gauges`,
`drifting` and `scatter` its charts, `paper` what the reference paper measured beside what this log shows.
`schedule` writes the page of `freshet cadence`.
"""

from freshet.report.replayed.page import write_replay
from freshet.report.replayed.schedule import write_schedule

__all__ = ["write_replay", "write_schedule"]
