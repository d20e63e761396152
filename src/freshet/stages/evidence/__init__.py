"""Stage: what recent transitions say about each context, chosen for the prompt.

`choose` ranks the successors of a context by frequency or trend, keeps what has support, falls back to the
last interest's own successors, and holds on to the words of the previous prompt while nothing real changed.
"""

from typing import TYPE_CHECKING

from freshet.core.late import late
from freshet.stages.evidence.choose import Window, choose

if TYPE_CHECKING:
    from freshet.stages.evidence.format import read, write
else:
    __getattr__ = late(__name__)

__all__ = ["Window", "choose", "read", "write"]
