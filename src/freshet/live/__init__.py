"""Stage: live signals. Decayed counts of what people take up now, as a bounded change of the fused score.

`overlay` holds the counts, takes in moves and says what they change; `decay` is its compiled part; `bursts`
finds interests that are taken up far more than they were; `files` keeps an overlay on disk.
"""

from freshet.live.bursts import Burst
from freshet.live.files import read, write
from freshet.live.overlay import Overlay, Settings

__all__ = ["Burst", "Overlay", "Settings", "read", "write"]
