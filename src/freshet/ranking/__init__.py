"""Stage: items within an interest, by a sequence model over items, popularity, and what items are about.

`log` reads engagements and `rows` makes of them what is learned from; `prior` is what is known of items
before a moment, `weighing` fits how much that and histories say, `judging` measures it. `shelves` holds the
items in the order of their interests, `ranker` ranks those of one interest for a user.
"""

from freshet.ranking.judging import Judged, Score, interval, judge
from freshet.ranking.log import UNSEEN, Engagements, engagements
from freshet.ranking.prior import LITTLE, features, names, popularity
from freshet.ranking.ranker import Ranked, Ranker
from freshet.ranking.rows import Rows, rows
from freshet.ranking.shelves import Shelves, nearest, read, write
from freshet.ranking.weighing import Histories, design, weigh

__all__ = [
    "LITTLE",
    "UNSEEN",
    "Engagements",
    "Histories",
    "Judged",
    "Ranked",
    "Ranker",
    "Rows",
    "Score",
    "Shelves",
    "design",
    "engagements",
    "features",
    "interval",
    "judge",
    "names",
    "nearest",
    "popularity",
    "read",
    "rows",
    "weigh",
    "write",
]  # fmt: skip
