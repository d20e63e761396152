"""What a replay's frames say: figures with intervals, differences, costs, and an answer in words.

Pure functions over the three frames of a replay; docs/explanation/replay.md has their columns. `aligned`
lays the arms side by side, `resampled` draws users with replacement, `measures` turns one arm into figures,
`differences` compares two, `curves` follows them over time, `tables` reads the states of the tables,
`spending` the costs; `choice`, `questions`, `advice` and `wording` put them into words; `summary` is the
document `replay.json`.
"""

from freshet.replay.figures.summary import summarise

__all__ = ["summarise"]
