"""Stage: what recent transitions say about each context, chosen for the prompt.

`choose` ranks the successors of a context by frequency or trend, keeps what has support, falls back to the
last interest's own successors, and holds on to the words of the previous prompt while nothing real changed.
"""

from freshet.stages.evidence.choose import Window, choose
from freshet.stages.evidence.format import read, write

__all__ = ["Window", "choose", "read", "write"]
