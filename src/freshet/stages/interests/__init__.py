"""Interests: clusters of items with stable ids and unique descriptions.

Read in this order: `building` (the two entry points), `catalogue` (what is read), `text`, `engagement`
and `vectors` (items as vectors), `tree` and `partition` (the hierarchy), `describe`, `identity`,
`newcomers`, `quality`, `model` (what is stored), `about` (what of it a ranker of items reads).
"""

from freshet.stages.interests.about import About, about
from freshet.stages.interests.building import assign, build
from freshet.stages.interests.engagement import vectors as co_engagement
from freshet.stages.interests.model import load, load_paths

__all__ = ["About", "about", "assign", "build", "co_engagement", "load", "load_paths"]
