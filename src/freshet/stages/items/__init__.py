"""Stage: items within an interest, by a sequence model over items, popularity, and what items are about.

`log` reads engagements and `rows` makes of them what is learned from; `prior` is what is known of items
before a moment, `weighing` fits how much that and histories say, `judging` measures it. `shelves` holds the
items in the order of their interests, `ranker` ranks those of one interest for a user.
"""

from freshet.stages.items.evaluation import Judged, Score, interval, judge
from freshet.stages.items.format import read, write
from freshet.stages.items.item_histories import Rows, rows
from freshet.stages.items.item_index import Shelves, nearest
from freshet.stages.items.item_log import UNSEEN, Engagements, engagements
from freshet.stages.items.prior import LITTLE, features, names, popularity
from freshet.stages.items.prior_weights import Histories, design, weigh
from freshet.stages.items.ranker import Ranked, Ranker

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
