"""Stage: live signals. Decayed counts of what people take up now, as a bounded change of the fused score.

`overlay` holds the counts, takes in moves and says what they change; `decay` is its compiled part; `bursts`
finds interests that are taken up far more than they were; `files` keeps an overlay on disk.
"""

from freshet.stages.live.bursts import Burst
from freshet.stages.live.format import read, write
from freshet.stages.live.overlay import Overlay, Settings

__all__ = ["Burst", "Overlay", "Settings", "read", "write"]
