"""A planner that is loaded when it is first asked: a refresh that infers nothing needs no model in memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from freshet.ports import Artifact, Noted, Planner, Tuner
from freshet.types import Interests, Prompt, Ranking, Usage

MODEL, FORERUNNER = "model", "forerunner"
"""Folders of a model artifact: what answers for the table, and what was judged and weighed before it."""


class LatePlanner:
    """The planner that a tuner opens on a model; known by its version before.

    Args:
        tuner: opens the planner.
        model: an artifact that holds the folder `model`, and `forerunner` where it was refitted.
        interests: what to rank.
        folder: which of the two.
    """

    def __init__(self, tuner: Tuner, model: Artifact, interests: Interests, folder: str = MODEL) -> None:
        self.tuner = tuner
        self.model = model
        self.interests = interests
        self.folder = folder

    @cached_property
    def version(self) -> str:
        """The planner's own version."""
        return self.tuner.version(self.model.path / self.folder, self.interests)

    @cached_property
    def forerunner(self) -> LatePlanner:
        """The planner tuned before the held-out windows; this one itself where there was no refit."""
        refitted = (self.model.folder / FORERUNNER).exists()
        return LatePlanner(self.tuner, self.model, self.interests, FORERUNNER) if refitted else self

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        """Load the planner and rank."""
        return self._planner.rank(prompts, top)

    def size(self, prompts: Sequence[Prompt]) -> Usage:
        """Load the planner and size."""
        return self._planner.size(prompts)

    @property
    def relative(self) -> bool:
        """Whether the model was trained to answer relative to popularity."""
        return bool(self.model.manifest.get("relative", False))

    @property
    def note(self) -> str:
        """What the loaded planner has to say, if anything."""
        return self._planner.note if isinstance(self._planner, Noted) else ""

    @cached_property
    def _planner(self) -> Planner:
        return self.tuner.open(self.model.path / self.folder, self.interests)
