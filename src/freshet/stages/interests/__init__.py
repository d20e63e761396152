"""Interests: clusters of items with stable ids and unique descriptions.

Read in this order: `building` (interests from a log), `engaged_items` (what is read), `item_text` and
`item_vectors` (items as vectors), `fitting` with `tree` and `partition` (the hierarchy), `identity` (ids that
stay), `describe`, `item_assignment` (items that came later), `quality`, `format` (what is stored).
"""

from typing import TYPE_CHECKING

from freshet.core.late import late

if TYPE_CHECKING:
    from freshet.stages.interests.building import build
    from freshet.stages.interests.format import (
        ItemFeatures,
        item_features,
        load,
        load_assignment,
        load_paths,
        text_vectors,
    )
    from freshet.stages.interests.item_assignment import assign
    from freshet.stages.interests.item_text import readable
    from freshet.stages.interests.item_vectors import co_engagement_vectors as co_engagement
else:
    __getattr__ = late(__name__)

__all__ = [
    "ItemFeatures",
    "assign",
    "build",
    "co_engagement",
    "item_features",
    "load",
    "load_assignment",
    "load_paths",
    "readable",
    "text_vectors",
]
