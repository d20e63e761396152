"""A planner that is loaded at its first query: a refresh that infers nothing needs no model in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import PlannerError
from freshet.core.ports import Abilities, Planner, Tuner
from freshet.core.types import Interests, Prompt, Ranking, Usage
from freshet.storage.artifacts import Artifact

MODEL, HOLDOUT_MODEL = "model", "forerunner"
"""Folders of a model artifact: what answers for the table, and what was judged and weighed before it."""


class LazyPlanner(Planner):
    """The planner that a tuner opens on a model; known by its version before.

    Args:
        tuner: opens the planner.
        model: an artifact that holds the folder `model`, and `holdout_model`, its holdout model, if refitted.
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
    def holdout_model(self) -> LazyPlanner:
        """The planner tuned before the held-out windows; this one itself where there was no refit."""
        refitted = (self.model.folder / HOLDOUT_MODEL).exists()
        return LazyPlanner(self.tuner, self.model, self.interests, HOLDOUT_MODEL) if refitted else self

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        """Load the planner and rank."""
        return self._planner.rank(prompts, top)

    def rank_each(self, chunks: Iterable[Sequence[Prompt]], top: int) -> Iterator[tuple[int, Ranking]]:
        """Load the planner and rank."""
        return self._planner.rank_each(chunks, top)

    def prepare(self, prompts: Sequence[Prompt]) -> None:
        """Load the planner and let it learn what is coming."""
        self._planner.prepare(prompts)

    def ready(self) -> None:
        """Load the planner and let it send what it has to ask."""
        self._planner.ready()

    def size(self, prompts: Sequence[Prompt]) -> Usage:
        """Load the planner and size."""
        return self._planner.size(prompts)

    @cached_property
    def abilities(self) -> Abilities:
        """The planner's abilities, known without loading it."""
        return self.tuner.abilities(self.model.path / self.folder, self.interests)

    @property
    def note(self) -> str:
        """What the loaded planner has to say, if anything."""
        return self._planner.note

    def generate(self, prompts: Sequence[Prompt]) -> list[str]:
        """Load the planner and let it write."""
        return self._planner.generate(prompts)

    def label_mass(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """Load the planner and measure, (n,)."""
        return self._planner.label_mass(prompts)

    @cached_property
    def _planner(self) -> Planner:
        planner = self.tuner.open(self.model.path / self.folder, self.interests)
        if planner.abilities != self.abilities:
            raise PlannerError(
                f"planner {planner.version} has {planner.abilities}, its tuner promised {self.abilities}",
                hint="let the tuner's `abilities` say what the planner it opens says",
            )
        return planner
