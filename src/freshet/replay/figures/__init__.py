"""What a replay's frames say: figures with intervals, differences, costs, and an answer in words.

Pure functions over the frames of a replay (docs/explanation/replay.md describes their columns).
`aligned` lays the arms side by side, `intervals` draws users with replacement, `arm_metrics` turns one arm
into figures, `comparisons` compares arms and chooses one, `over_time` follows them, `arm_costs` adds up what
they cost; `groups` parts the transitions by their circumstances, `knowledge_sources` and `scarcity` say where
each source of knowledge pays and at which size; `questions` and `recommendation` put the rest into words.
`summary` is the document `replay.json`, `schedule_advice` and `schedule_text` are `cadence.json`.
"""

from freshet.replay.figures.summary import summarise

__all__ = ["summarise"]
