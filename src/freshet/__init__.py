"""Freshet keeps an LLM-powered recommender fresh.

events + items
  -> interests     tree of clusters, descriptions, assignment of items      (rebuilt rarely, ids stable)
  -> transitions   engagements -> novel successors -> daily counts          (incremental, one day at a time)
  -> tuning        balanced examples -> fine-tuned planner -> gates         (slow path)
  -> evidence      recent counts -> shrunk, supported, capped successors    (fast path)
  -> inference     contexts whose prompt changed -> ranked successors
  -> table         fuse, verify, publish, roll back

`freshet.pipeline` reads like this list; each step is a folder beside it.
"""

__version__ = "0.1.0"
