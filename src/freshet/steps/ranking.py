"""Step: a ranker of items, trained on the log and brought up to date with every release."""

from __future__ import annotations

from freshet import ranking, sequence
from freshet.ports import Artifact

MODEL, ITEMS = "model", "items"


def open_ranker(made: Artifact) -> ranking.Ranker:
    """The ranker of an artifact `rankers/<version>`; numpy alone is needed.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    model = sequence.read(made.path / MODEL)
    return ranking.Ranker(ranking.read(made.path / ITEMS), model.weights.embedding, model.state_of)
