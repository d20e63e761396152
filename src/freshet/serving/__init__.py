"""Serving: a release and what is known of a user become interests and items to show; no HTTP in here.

`recommender` answers; `releases` swaps what it answers from; `opened` is one release in memory; `recall`
reads histories, `rules` bars, `choosing` chooses, `shelf` adds items, `explaining` says why; `recording`
takes events in and `impressions` notes what was shown. `assigned` knows the running experiments, `strategies`
how an arm is answered.
"""

from freshet.serving.messages import Event, Query, Receipt
from freshet.serving.recommend import Clock, Recommender, system_clock
from freshet.serving.release_pool import Releases

__all__ = ["Clock", "Event", "Query", "Receipt", "Recommender", "Releases", "system_clock"]
