"""Stage: the planner without an LLM. What plain counts know before a moment, and the fitted mixture.

`model` turns summed transitions into log-probabilities per feature (recent popularity at several half-lives,
last interest, pair, several recent interests); `mixture` fits the weights that combine them, and the
planner's score, on held-out transitions; `strengths` chooses how strongly sparse counts are shrunk;
`planner_score` makes the planner a feature; `score` applies it all to users and contexts.
"""

from freshet.counts.files import read, write
from freshet.counts.mixture import Held, fit, log_likelihood, log_softmax
from freshet.counts.model import CountModel, feature_names
from freshet.counts.planner_score import PlannerScores
from freshet.counts.score import PLANNER, Scorer, held_out, mixture_weights
from freshet.counts.strengths import choose_strengths

__all__ = [
    "PLANNER",
    "CountModel",
    "Held",
    "PlannerScores",
    "Scorer",
    "choose_strengths",
    "feature_names",
    "fit",
    "held_out",
    "log_likelihood",
    "log_softmax",
    "mixture_weights",
    "read",
    "write",
]
