"""The page of `freshet experiment report`: what an experiment says, and how far to believe it."""

from freshet.report.experimented.answer import said
from freshet.report.experimented.facts import facts
from freshet.report.experimented.page import render, write_experiment

__all__ = ["facts", "render", "said", "write_experiment"]
