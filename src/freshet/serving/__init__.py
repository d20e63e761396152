"""Serving: a release and what is known of a user become interests and items to show; no HTTP in here.

`recommender` answers; `releases` swaps what it answers from; `opened` is one release in memory; `recall`
reads histories, `rules` bars, `choosing` chooses, `shelf` adds items, `explaining` says why; `recording`
takes events in and `impressions` notes what was shown.
"""

from freshet.serving.asking import Ask, Posted, Receipt
from freshet.serving.recommender import Recommender
from freshet.serving.releases import Releases

__all__ = ["Ask", "Posted", "Receipt", "Recommender", "Releases"]
