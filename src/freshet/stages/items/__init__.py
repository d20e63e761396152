"""Stage: items within an interest, by a sequence model over items, popularity, and what items are about.

`item_log` reads engagements, `item_histories` makes training rows of them and `training_data` all that a
ranker is trained on; `prior` computes features of items before a moment (popularity, newness),
`prior_weights` fits the weights of these and of histories, `holdout` and `ranker_evaluation` measure the
result. `item_index` holds items in the order of their interests, `ranker` ranks those of one (`top_k`,
compiled).
"""

from typing import TYPE_CHECKING

from freshet.core.late import late

if TYPE_CHECKING:
    from freshet.stages.items.format import read, write
    from freshet.stages.items.item_histories import Rows, rows
    from freshet.stages.items.item_index import ItemIndex, nearest
    from freshet.stages.items.item_log import UNSEEN, Engagements, engagements
    from freshet.stages.items.prior import LITTLE, features, names, popularity
    from freshet.stages.items.prior_weights import Histories, design, fit_weights
    from freshet.stages.items.ranker import Ranker
    from freshet.stages.items.ranker_evaluation import Evaluated, Score, evaluate, interval
else:
    __getattr__ = late(__name__)

__all__ = [
    "LITTLE",
    "UNSEEN",
    "Engagements",
    "Evaluated",
    "Histories",
    "ItemIndex",
    "Ranker",
    "Rows",
    "Score",
    "design",
    "engagements",
    "evaluate",
    "features",
    "fit_weights",
    "interval",
    "names",
    "nearest",
    "popularity",
    "read",
    "rows",
    "write",
]  # fmt: skip
