"""Serving: a release and what is known of a user become interests and items to recommend; no HTTP in here.

`recommend` answers: a request is one pass there. `release_pool` holds the releases that it answers from, each
an `open_release`; `arms` knows the running experiments, `user_context` reads histories, `request_rules`
excludes, `policy` chooses, `item_selection` adds items, `explanation` explains. `event_recorder` takes events
in, `impressions` notes what was shown; `user_histories` fills the user store from the log.
"""

import warnings
from typing import Any

from freshet.core.time import Clock, system_clock
from freshet.serving.messages import Event, Query, Receipt
from freshet.serving.recommend import Recommender
from freshet.serving.release_pool import ReleasePool

__all__ = ["Clock", "Event", "Query", "Receipt", "Recommender", "ReleasePool", "system_clock"]

_FORMER = {"Ask": Query, "Posted": Event}


def __getattr__(name: str) -> Any:
    """Former names of messages, deprecated."""
    if name not in _FORMER:
        raise AttributeError(f"module 'freshet.serving' has no attribute {name!r}")
    now = _FORMER[name]
    warnings.warn(f"freshet.serving.{name} is now called {now.__name__}", DeprecationWarning, stacklevel=2)
    return now
