"""Stage: what a planner says comes after each interest alone, before anything of it was counted.

The prompts hold the interests' own words and nothing of the log: N prompts, asked again only where the words,
the planner or its settings change. `stages.counts` shrinks sparse counts to the answers, as far as held-out
transitions show that this helps.
"""

ROWS = "rows"
"""Folder of the answers in an artifact of kind `priors`: a row for each interest, in order."""
