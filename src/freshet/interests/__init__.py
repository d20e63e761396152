"""Interests: clusters of items with stable ids and unique descriptions.

Read in this order: `building` (the two entry points), `catalogue` (what is read), `text`, `engagement`
and `vectors` (items as vectors), `tree` and `partition` (the hierarchy), `describe`, `identity`,
`newcomers`, `quality`, `model` (what is stored).
"""

from freshet.interests.building import assign, build
from freshet.interests.model import load

__all__ = ["assign", "build", "load"]
