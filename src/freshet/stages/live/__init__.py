"""Stage: live signals. Decayed counts of what people take up now, as a bounded change of the fused score.

`decayed_counts` counts, `bursts` finds interests that are suddenly taken up, `overlay` applies both to a
score, `calibration` fits their weights on held-out windows, `format` keeps them.
"""

from typing import TYPE_CHECKING

from freshet.core.late import late

if TYPE_CHECKING:
    from freshet.stages.live.bursts import Burst
    from freshet.stages.live.format import read, write
    from freshet.stages.live.overlay import Overlay, Settings
else:
    __getattr__ = late(__name__)

__all__ = ["Burst", "Overlay", "Settings", "read", "write"]
