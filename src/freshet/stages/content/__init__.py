"""Stage: what items say and who engages with them, as vectors; so far as it helps, a part of the mixture.

`item_engagements` reads who engaged which item when, and what a user engaged last before a moment; `vectors`
places items and interests in the space of texts and in that of co-engagement, and users among them; `format`
is what is stored. What becomes of it in the mixture is decided in `stages.counts`.
"""

from typing import TYPE_CHECKING

from freshet.core.late import late

if TYPE_CHECKING:
    from freshet.stages.content.format import ContentItems, read_centroids, read_items, read_vectors, write
    from freshet.stages.content.item_engagements import ItemEngagements, read_engagements
    from freshet.stages.content.vectors import (
        LAST_ITEMS,
        ContentVectors,
        centred,
        engaged_vectors,
        mean_by_interest,
    )
else:
    __getattr__ = late(__name__)

__all__ = [
    "LAST_ITEMS",
    "ContentItems",
    "ContentVectors",
    "ItemEngagements",
    "centred",
    "engaged_vectors",
    "mean_by_interest",
    "read_centroids",
    "read_engagements",
    "read_items",
    "read_vectors",
    "write",
]
