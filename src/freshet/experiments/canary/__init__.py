"""Canaries: a new release serves some users first, and everybody once it was seen to do no harm.

A canary is an experiment that the pipeline starts and ends by itself: control follows `CURRENT`, the second
arm serves the new release. So users are assigned, exposures logged, effects and splits judged, as in any
experiment.
"""

from typing import TYPE_CHECKING

from freshet.core.late import late

if TYPE_CHECKING:
    from freshet.experiments.canary.ending import promote, take_back
    from freshet.experiments.canary.publication import publish, publish_ranker
    from freshet.experiments.canary.trial import running, tried, waits
else:
    __getattr__ = late(__name__)

__all__ = ["promote", "publish", "publish_ranker", "running", "take_back", "tried", "waits"]
