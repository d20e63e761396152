"""Freshet keeps an LLM-powered recommender fresh.

events + items
  -> interests     tree of clusters, descriptions, assignment of items      (rebuilt rarely, ids stable)
  -> prior         each interest alone -> what a planner expects next       (once, where it is so configured)
  -> transitions   engagements -> novel successors -> daily counts          (incremental, one day at a time)
  -> tuning        balanced examples -> fine-tuned planner -> gates         (slow path)
  -> content       what items say, and who engages them, as vectors         (fast path)
  -> evidence      recent counts -> shrunk, supported, capped successors
  -> inference     contexts whose prompt changed -> ranked successors
  -> counts        fuse planner, sequence model and content with the counts
  -> table         verify, publish, roll back
  -> serving       look up, live signals, filter what is known, pick items

`freshet.pipeline` reads like this list; each stage is a folder of `freshet.stages`.
"""

from typing import TYPE_CHECKING

from freshet.core.late import late

if TYPE_CHECKING:
    from freshet.frame_import import import_events, import_items
    from freshet.frame_tables import tables
    from freshet.recommender import Recommender
else:
    __getattr__ = late(__name__)

__version__ = "0.1.0"
__all__ = ["Recommender", "__version__", "import_events", "import_items", "tables"]
