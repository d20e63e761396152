"""Stage: items within an interest, by a sequence model over items, popularity, and what items are about.

`shelves` holds the items in the order of their interests, `ranker` ranks those of one interest for a user.
"""

from freshet.ranking.ranker import Ranked, Ranker
from freshet.ranking.shelves import Shelves, nearest, read, write

__all__ = ["Ranked", "Ranker", "Shelves", "nearest", "read", "write"]
