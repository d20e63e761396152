"""A planner that is loaded when it is first asked: a refresh that infers nothing needs no model in memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from freshet.ports import Artifact, Noted, Planner, Tuner
from freshet.types import Interests, Prompt, Ranking, Usage


class LatePlanner:
    """The planner that a tuner opens on a model; known by its version before.

    Args:
        tuner: opens the planner.
        model: an artifact that holds the folder `model`.
        interests: what to rank.
    """

    def __init__(self, tuner: Tuner, model: Artifact, interests: Interests) -> None:
        self.tuner = tuner
        self.model = model
        self.interests = interests

    @cached_property
    def version(self) -> str:
        """The planner's own version."""
        return self.tuner.version(self.model.path / "model", self.interests)

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        """Load the planner and rank."""
        return self._planner.rank(prompts, top)

    def size(self, prompts: Sequence[Prompt]) -> Usage:
        """Load the planner and size."""
        return self._planner.size(prompts)

    @property
    def note(self) -> str:
        """What the loaded planner has to say, if anything."""
        return self._planner.note if isinstance(self._planner, Noted) else ""

    @cached_property
    def _planner(self) -> Planner:
        return self.tuner.open(self.model.path / "model", self.interests)
